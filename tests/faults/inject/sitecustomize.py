"""Python imports this file when it starts: the environment's fault is armed in a command and in its workers."""

import os

import injector

if fault := os.environ.get("LATENT_OT_FAULT"):
    os.environ.setdefault("LATENT_OT_FAULT_COMMAND", str(os.getpid()))
    injector.arm(injector.Fault.read(fault))
