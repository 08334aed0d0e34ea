"""B18: an exception of the main process inside of main_process_first, as Accelerate 1.15 takes it.

python tests/golden/accelerate/b18_main_process_first.py
"""
from _ranks import run
from accelerate import Accelerator


def main():
    accelerator = Accelerator(cpu=True)
    try:
        with accelerator.main_process_first():
            if accelerator.is_main_process:
                raise FileNotFoundError("no such file")
            print("ran", flush=True)
    except FileNotFoundError:
        # The program goes on without the file; the other rank should learn of it.
        print("goes on", flush=True)
        import time

        time.sleep(30)


run(main, seconds=20)
