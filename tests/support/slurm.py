"""A Slurm cluster of one node on this machine: munged, slurmctld and slurmd in a folder, where Debian's slurm-wlm is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "srun", "sinfo")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def is_possible() -> bool:
    """Whether such a cluster can be started here."""
    return os.getuid() == 0 and all(map(shutil.which, PROGRAMS))


@contextmanager
def slurm_cluster(folder: Path) -> Iterator[Path]:
    """Start the cluster; yields the file that SLURM_CONF must name. A missing node fails after a minute."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "key").write_bytes(os.urandom(1024))
    (folder / "key").chmod(0o600)
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(host=socket.gethostname(), folder=folder, ports=[_free_port(), _free_port()])
    )
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    files = {name: str(folder / f"munge.{name}") for name in ("socket", "pid", "log", "seed")}
    commands = [
        ["munged", "--foreground", "--force", f"--key-file={folder / 'key'}", f"--socket={files['socket']}",
         f"--pid-file={files['pid']}", f"--log-file={files['log']}", f"--seed-file={files['seed']}"],
        ["slurmctld", "-D"],
        ["slurmd", "-D"],
    ]  # fmt: skip
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / "output").open("wb") as output:
            for command in commands:
                processes.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output))
                time.sleep(1)
        deadline = time.monotonic() + 60
        while b"idle" not in subprocess.run(["sinfo", "--noheader"], env=environment, capture_output=True).stdout:
            assert time.monotonic() < deadline, (folder / "output").read_text()
            time.sleep(0.5)
        yield configuration
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(20)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
