#!/usr/bin/env python3
# Leaves the process group that it was started in, for that of a child who goes when it does. (corpus)
import os, time
ours = os.getpid()
child = os.fork()
if child:
    os.setpgid(child, child)
    os.setpgid(0, child)
    print("Content-Type: text/plain\n\nso far", flush=True)
    time.sleep(1000)
while os.getppid() == ours:
    time.sleep(0.01)
