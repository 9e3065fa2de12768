"""What all tests share."""

import os
import signal
import sys

import pytest


def pytest_configure(config):
    """Everything the tests start is told about coverage through the environment; nothing else of it leaks in."""
    os.environ.pop("JOBCTL_CONFIG", None)
    os.environ.pop("PMDF_CHANNEL", None)
    # A shell that runs us in the background has it ignored, and so would all that tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def elsewhere(tmp_path_factory):
    """Twisted's ``mktemp`` makes its directories where the tests run: not in the checkout."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    yield
    os.chdir(before)


@pytest.fixture(autouse=True)
def no_configuration_named():
    """A daemon made within a test names its configuration for its children; the next test has none."""
    os.environ.pop("JOBCTL_CONFIG", None)


@pytest.fixture(autouse=True)
def measured(request):
    """Long runs of what others have covered take half the time when nobody counts their lines."""
    if request.node.get_closest_marker("unmeasured") is None:
        yield
        return
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Where nothing may be skipped (continuous integration), a skip is a failure that says what is missing."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("JOBCTL_NOTHING_SKIPPED") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
