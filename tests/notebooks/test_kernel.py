"""A training in a real kernel ends with the kernel's interrupt, in the cell and in the background, and what was best stays."""

import queue
import time

import pytest

jupyter_client = pytest.importorskip("jupyter_client", reason="needs the notebook extra (jupyter_client, ipykernel)")
pytest.importorskip("ipykernel", reason="needs the notebook extra (jupyter_client, ipykernel)")

SETUP = """
import promptlab as pl
from promptlab.widgets import Trainer
trainer = Trainer(pl.load("pocket", device="cpu"), "world:vehicles@night", shots=2, store="runs", hyper={"steps": 100_000})
"""
SAY = "r = trainer.run; print(trainer.status, r and r.status, len(trainer.curves[0]['val']) > 0, r.report is not None)"


@pytest.fixture
def kernel(tmp_path):
    manager = jupyter_client.KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def run(client, code, timeout=300):
    """Execute and return what was printed."""
    said = []

    def hear(message):
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            said.append(message["content"]["text"])

    reply = client.execute_interactive(code, timeout=timeout, output_hook=hear)
    assert reply["content"]["status"] == "ok", reply["content"].get("traceback")
    return "".join(said)


def events(client, seconds):
    """Drain what the kernel says for some seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            client.get_iopub_msg(timeout=0.2)
        except queue.Empty:
            continue


@pytest.mark.slow
def test_an_interrupt_ends_a_training_in_the_cell(kernel):
    manager, client = kernel
    run(client, SETUP)
    message = client.execute("trainer.train()")
    until = time.monotonic() + 240
    while time.monotonic() < until:  # wait until the widget tells of steps
        try:
            said = client.get_iopub_msg(timeout=1)
        except queue.Empty:
            continue
        state = said["content"].get("data", {}).get("state", {}) if said["msg_type"] == "comm_msg" else {}
        if "Training: step" in str(state.get("value", "")) and "step 1 " not in str(state.get("value", "")):
            break
    events(client, 3)
    manager.interrupt_kernel()
    while client.get_shell_msg(timeout=120)["parent_header"].get("msg_id") != message:
        pass
    assert run(client, SAY).split() == ["stopped", "stopped", "True", "True"]


@pytest.mark.slow
def test_an_interrupt_of_the_idle_kernel_ends_a_background_training(kernel):
    manager, client = kernel
    run(client, SETUP)
    run(client, "trainer.start()")
    assert "True" in run(client, "import time\nuntil = time.time() + 200\nwhile not trainer.curves[0]['val'] and time.time() < until:\n"
                                 "    time.sleep(0.1)\nprint(bool(trainer.curves[0]['val']))")
    events(client, 1)
    manager.interrupt_kernel()
    run(client, "trainer.wait(120)")
    assert run(client, SAY).split() == ["stopped", "stopped", "True", "True"]
