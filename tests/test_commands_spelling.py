"""The old spelling of the commands, by table."""

import pytest

from jobctl.commands.main import build_parser
from jobctl.commands.spelling import translate
from jobctl.errors import UsageError

TABLE = [
    # old, modern
    ("qm dir", "qm directory"),
    ("qm -maint dir -database -total", "qm directory --database --total"),
    ("qm -maintenance summ", "qm summarize"),
    ("qm sum -noheading -NOTRAILING", "qm summarize --no-heading --no-trailing"),
    ("qm dir -held -nofile_info tcp_local", "qm directory --held --no-file-info tcp_local"),
    ("qm dir tcp_local -held", "qm directory --held tcp_local"),
    ("qm dir -from=<> -match=AND", "qm directory --from=<> --match=AND"),
    ("qm dir -env", "qm directory --envelope"),
    ("qm dir -noenv", "qm directory --no-envelope"),
    ("qm dir -dir", "qm directory --directory-tree"),
    ("qm hold -channel=tcp_local -all -noconfirm", "qm hold --channel=tcp_local --all --no-confirm"),
    ("qm hold a1 -channel tcp_local b2", "qm hold --channel=tcp_local a1 b2"),
    ("qm ret a1 -reason=-x", "qm return --reason=-x a1"),
    ("cache -view tcp_local", "cache view tcp_local"),
    ("cache -view", "cache view"),
    ("test -rewrite -source_channel=l a@b", "test rewrite --source-channel=l a@b"),
    ("test -rew a@b", "test rewrite a@b"),
    (
        "qclean -from=\\<\\> -match=OR -dom=x -ignore_zz",
        "qclean --from=\\<\\> --match=OR --domain-to=x --ignore-zz",
    ),
    ("qm top -content=(START=1,LENGTH=9) -from", "qm top --content=(START=1,LENGTH=9) --from="),
    ("qtop -from tcp_local", "qtop --from= tcp_local"),
    ("qtop --subject --to=1,9 tcp_local", "qtop --subject= --to=1,9 tcp_local"),
    ("qtop -nothreads -noverb -dat", "qtop --no-threads --no-verbose --database"),
    ("qm clean -del -threads=4 -min=5 l", "qm clean --delete --threads=4 --min-length=5 l"),
    ("qm run -ignore -nolog f", "qm run --ignore --no-log f"),
    ("cache -sync -norecip -debug=3", "cache synchronize --no-recipient --debug=3"),
    ("cache -synch", "cache synchronize"),
    ("cache -walk -debug", "cache walk --debug=1"),
    ("cache -change -channel=l -job_limit=3", "cache change --channel=l --job-limit=3"),
    ("sub tcp_local", "submit tcp_local"),
    ("submit_master tcp_local poll", "submit_master tcp_local poll"),
    ("ret a1 -reason=x", "return --reason=x a1"),
    ("find x.log -f=0", "find -f=0 x.log"),
    ("view x.log -l=2", "view -l=2 x.log"),
    ("purge -day=3 -num=2 x.log", "purge --day=3 --num=2 x.log"),
    ("test -match a b", "test match a b"),
    (
        "test -rew -nochan -noimage -configuration=x a@b",
        "test rewrite --no-channel --no-image-file --configuration-file=x a@b",
    ),
    ("restart dispatcher", "restart dispatcher"),
    ("kill job_controller", "kill job_controller"),
    ("qm counters show -nohead", "qm counters show --no-headers"),
    ("qm coun -show -out=f", "qm counters show --output=f"),
    ("counters -create -max_channels=9", "counters create --max-channels=9"),
    ("ver", "version"),
    ("proc", "process"),
    ("enqueue -from=a@b -to=c@d -", "enqueue --from=a@b --to=c@d -"),
    ("enqueue --from a@b --to -x@d --to=e@f m.eml", "enqueue --from=a@b --to=-x@d --to=e@f m.eml"),
    ("enqueue --from  --to b@c", "enqueue --from=--to b@c"),
    ("--config x.toml qm sum --json", "--config=x.toml qm summarize --json"),
    ("-config=x.toml version", "--config=x.toml version"),
    ("qm hold -- -odd", "qm hold -- -odd"),
    ("run tcp_local poll", "run tcp_local poll"),
    # what is nothing is left for argparse to refuse
    ("nonsense -foo=bar", "nonsense --foo=bar"),
    ("-h", "-h"),
    ("qm dir -5", "qm directory -5"),
]


@pytest.mark.parametrize(("old", "modern"), TABLE, ids=[old for old, _ in TABLE])
def test_spelling(old, modern):
    """What people have typed for thirty years means what it always has."""
    assert translate(build_parser("jobctl"), old.split()) == modern.split()


@pytest.mark.parametrize("line", ["qm h", "qm st", "qm hold -no", "qm -st"])
def test_ambiguous(line):
    """An abbreviation of more than one thing is refused, with the things it could be."""
    with pytest.raises(UsageError, match=r"could be .* or "):
        translate(build_parser("jobctl"), line.split())


def test_modern_spelling_is_unchanged():
    """Translating what is modern already changes nothing."""
    parser = build_parser("jobctl")
    for _, modern in TABLE:
        assert translate(parser, modern.split()) == modern.split()
