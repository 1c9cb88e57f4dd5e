"""A process that has imported everything and forks a fresh `ntkdist` for every request, in milliseconds.

Requests are JSON lines: ``{"argv", "cwd", "env", "log"}`` answers the pid of the fork at once, ``{"wait": pid}``
its exit status when it has ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time


def serve() -> None:
    import distributed  # noqa: F401
    import numpy as np

    import ntkdist as ntk
    import ntkdist.pipeline.append
    import ntkdist.pipeline.run
    import ntkdist.pipeline.verify

    ntk.Kernel(depth=1).tile(np.eye(4), np.eye(4))
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            print(_wait(request["wait"], request["seconds"]), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _run(request)
        print(pid, flush=True)


def _wait(pid: int, seconds: float) -> int:
    """Exit code of a fork; one that takes too long is killed with its children, so that the next request is served."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -1000


def _run(request: dict[str, object]) -> None:
    code = 99
    try:
        os.setsid()
        os.chdir(str(request["cwd"]))
        environment = request["env"]
        assert isinstance(environment, dict)
        os.environ.update(environment)
        for number, name in ((1, "out"), (2, "err")):
            file = os.open(f"{request['log']}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if "NTKDIST_TEST_FSIZE" in environment:
            import resource

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            limit = int(environment["NTKDIST_TEST_FSIZE"])
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        if "NTKDIST_TEST_UID" in environment:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(*[int(environment["NTKDIST_TEST_UID"])] * 3)
        from ntkdist.cli.app import _run as run_program
        from ntkdist.cli.app import app
        from ntkdist.moments import hook_environment

        hook_environment()
        argv = request["argv"]
        assert isinstance(argv, list)
        sys.argv = ["ntkdist", *argv]
        code = run_program(app, "ntkdist", argv)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
