"""Runs a script on several CPU processes (gloo), and prints what each of them printed."""
import os
import socket
import subprocess
import sys


def run(main, world=2, seconds=60):
    """In a rank, calls main(); elsewhere, starts the ranks of this script. A rank that does not end in time is killed."""
    if "RANK" in os.environ:
        return main()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = dict(os.environ, WORLD_SIZE=str(world), LOCAL_WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    shared.update(ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
    ranks = [
        subprocess.Popen(
            [sys.executable, *sys.argv],
            env=dict(shared, RANK=str(rank), LOCAL_RANK=str(rank)),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for rank in range(world)
    ]
    for rank, process in enumerate(ranks):
        try:
            output, _ = process.communicate(timeout=seconds)
            ending = "" if process.returncode == 0 else f"ended with {process.returncode}\n"
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            ending = f"still waits after {seconds} s\n"
        for line in (output + ending).splitlines():
            print(f"rank {rank}: {line}")
