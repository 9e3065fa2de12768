"""What content is made of, its header and its body parts, and the changes that options ask for; pure, pieces in and out."""
