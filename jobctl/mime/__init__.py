"""What content is made of, header and body parts, and the changes that options ask for; pieces in and out."""
