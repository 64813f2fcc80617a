"""Whether a Ray node that shares no folder with the study's machine gives the same study.

Run `python -m tests.benchmarks.bench_ray_nodes` as root on Linux; it takes minutes and needs the
extra `ray`. Two nodes on one machine: each in a network namespace of its own, with a cable between
them, and a process namespace, which ends all of its processes with the first. The second has a root
of its own too: empty but for the system's libraries, this Python environment and this checkout,
read-only. The first offers no CPU, so that the second does all that is given to Ray: it encodes the
images, and trains the heads of few shots and shifts as tasks of Prefect, whose server runs on the
first. Store, images and weights lie where the second has nothing.
"""

import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.measuring import print_rows, timed

PROJECT = Path(__file__).parents[2]
DEMO_CLIP = PROJECT / "tasks" / "methods" / "encoder" / "demo_clip"
IMAGES = 600
HEAD, WORKER = "10.213.7.1", "10.213.7.2"
ADDRESS = f"{HEAD}:6379"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/sys")
RUN = (sys.executable, "-m", "curette.flows.cli", "run", "demo")

CABLE = """
ip netns add $HEAD_NAME; ip netns add $WORKER_NAME
ip link add eth0 netns $HEAD_NAME type veth peer name eth0 netns $WORKER_NAME
ip -n $HEAD_NAME address add $HEAD/24 dev eth0
ip -n $WORKER_NAME address add $WORKER/24 dev eth0
for name in $HEAD_NAME $WORKER_NAME; do
    ip -n $name link set lo up
    ip -n $name link set eth0 up
done
"""

ROOT_OF_ITS_OWN = """
root=$1; shift
mount -t tmpfs root $root
for folder in $SEEN; do
    [ -e $folder ] || continue
    mkdir -p $root$folder
    mount --bind $folder $root$folder
    mount -o remount,bind,ro $root$folder
done
mkdir -p $root/proc $root/dev $root/tmp $root/root
mount -t proc proc $root/proc
mount --rbind /dev $root/dev
mount -t tmpfs shm $root/dev/shm
[ ! -e $root$UNSEEN ]
exec chroot $root "$@"
"""

JOIN = """
cd /
until $RAY start --address=$ADDRESS --node-ip-address=$WORKER --num-cpus=1 --block; do sleep 1; done
"""

LEAD = """
$RAY start --head --port=6379 --node-ip-address=$HEAD --num-cpus=0 --include-dashboard=false \
    --temp-dir=$UNSEEN/ray
$PYTHON -c "
import ray, time
ray.init(address='$ADDRESS', logging_level='ERROR')
while not ray.cluster_resources().get('CPU'):
    time.sleep(1)
"
export PREFECT_API_URL=http://$HEAD:4200/api
$PYTHON -m prefect server start --host $HEAD --port 4200 > $UNSEEN/server.log 2>&1 &
until $PYTHON -c "import urllib.request; urllib.request.urlopen('$PREFECT_API_URL/health')"; do
    sleep 1
done 2> /dev/null
"$@"
"""


class Row(NamedTuple):
    """One comparison."""

    name: str
    ray_s: float
    local_s: float
    shards: int
    """Tasks of Prefect that Prefect's server heard of from the second node."""
    same: bool
    met: bool | None


def main() -> list[Row]:
    """Return what became of a study; nothing where it cannot be tried."""
    if find_spec("ray") is None or os.geteuid() != 0 or not shutil.which("ip"):
        print("this needs the extra `ray`, root and the command `ip`")
        return []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        shutil.copytree(DEMO_CLIP, folder / "encoder")
        here, there = folder / "here", folder / "there"
        local_s, _ = timed(lambda: subprocess.run(_run(here), env=_variables(folder), check=True))
        ray_s, _ = timed(lambda: _on_two_nodes([*_run(there), "--ray", ADDRESS], folder))
        same = _made(here) == _made(there)
        with closing(sqlite3.connect(folder / "prefect" / "prefect.db")) as server:
            done = "name LIKE 'shard%' AND state_type = 'COMPLETED'"
            [shards] = server.execute(f"SELECT COUNT(*) FROM task_run WHERE {done}").fetchone()
    name = f"{IMAGES} images encoded and all heads trained, seconds with the cluster's start"
    return [Row(name, ray_s, local_s, shards, same, same and bool(shards))]


def _run(store: Path) -> list[str]:
    changed = (f"encoder.model={store.parent}/encoder", f"dataset.source.images={IMAGES}")
    sets = [word for change in changed for word in ("--set", change)]
    how = ("--until", "probe (shifts)", "--threads=1", "--device=cpu")
    return [*RUN, *sets, "--store", str(store), *how]


def _made(store: Path) -> set[str]:
    """Return the digests of vectors and heads: they cover the recipe and every byte."""
    made = {
        path.name for kind in ("image-embeddings", "heads") for path in (store / kind).iterdir()
    }
    assert len(made) == 4  # of the images; of all images, few shots and shifts
    return made


def _variables(folder: Path) -> dict[str, str]:
    """Return what the shell's lines and curette find in their environment."""
    seen = (*SYSTEM, sys.prefix, sys.base_prefix, str(PROJECT))
    return os.environ | {
        "SEEN": " ".join(seen),
        "UNSEEN": str(folder),
        "HEAD": HEAD,
        "WORKER": WORKER,
        "ADDRESS": ADDRESS,
        "HEAD_NAME": f"head-{os.getpid()}",
        "WORKER_NAME": f"worker-{os.getpid()}",
        "RAY": str(Path(sys.executable).with_name("ray")),
        "PYTHON": sys.executable,
        "PYTHONPATH": str(PROJECT),
        "PREFECT_HOME": str(folder / "prefect"),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def _on_two_nodes(command: list[str], folder: Path) -> None:
    """Run a command on the first of two nodes that see nothing of each other but a cable."""
    variables = _variables(folder) | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    root = folder / "root"
    root.mkdir()
    with ExitStack() as stack:
        stack.enter_context(_cable(variables))
        join = ["sh", "-euc", ROOT_OF_ITS_OWN, "sh", str(root), "sh", "-euc", JOIN]
        worker = stack.enter_context(
            subprocess.Popen(_node(variables["WORKER_NAME"], join), env=variables)
        )
        stack.callback(worker.kill)
        lead = ["sh", "-euc", LEAD, "sh", *command]
        subprocess.run(_node(variables["HEAD_NAME"], lead), env=variables, check=True)


def _node(name: str, command: list[str]) -> list[str]:
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["ip", "netns", "exec", name, *alone, *command]


@contextmanager
def _cable(variables: dict[str, str]) -> Iterator[None]:
    try:
        subprocess.run(["sh", "-euc", CABLE], env=variables, check=True)
        yield
    finally:
        for name in (variables["HEAD_NAME"], variables["WORKER_NAME"]):
            subprocess.run(["ip", "netns", "delete", name], check=False)


if __name__ == "__main__":
    print_rows("ray nodes", main())
