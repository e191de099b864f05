"""``ldm-lab studio`` as it is typed: a process with the shipped models, which leaves nothing behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ldm_lab.checkpoints import shipped_models
from tests.apps.wire import send, upload
from tests.serving import wait_for

PATIENCE_SEC = 600
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_command_opens_the_page_with_the_shipped_models_and_ends_in_good_order(free_port, tmp_path):
    port = free_port()
    words = ["-c", "from ldm_lab.cli import main; raise SystemExit(main())", "studio", "--port", str(port)]
    environment = os.environ | {"TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert f"http://127.0.0.1:{port} on " in process.stdout.readline()
        wait_for(f"http://127.0.0.1:{port}/config", process, patience_sec=PATIENCE_SEC)
        config = send(f"http://127.0.0.1:{port}", "GET", "/config").text
        assert all(name in config for name in shipped_models())
        assert isinstance(upload(f"http://127.0.0.1:{port}", b"a file"), str)
        assert [*tmp_path.glob("ldm_lab-studio-*/files/*/*")]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SEC) == 128 + signal.SIGTERM
        assert [path for path in tmp_path.rglob("*") if path.is_file() or "ldm_lab" in path.name] == []
    finally:
        process.kill()
