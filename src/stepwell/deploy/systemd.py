"""systemd: a unit that ends when the databases are at their next version, and one that runs the jobs after it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from stepwell.deploy.facts import FINAL, UP, WORK, Facts, Files

UNIT = """\
[Unit]
Description={about}
Wants=network-online.target
After=network-online.target{after}
# A run that fails again and again is left for a person.
StartLimitIntervalSec={deadline}
StartLimitBurst={retries}

[Service]
Type={kind}
ExecStart={command}
WorkingDirectory={folder}
# Readable by root alone (mode 0600); it must set {variables}.
EnvironmentFile=/etc/{name}/stepwell.env
{more}
Restart=on-failure
RestartSec=10
# What no repetition mends: files, differences, a statement in doubt, a check, the doctor's findings.
RestartPreventExitStatus={final}
DynamicUser=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
MemoryMax=512M

[Install]
WantedBy=multi-user.target
"""


def files(facts: Facts) -> Files:
    beside = Path(sys.executable).with_name("stepwell")
    stepwell = str(beside) if beside.exists() else shutil.which("stepwell") or "/usr/local/bin/stepwell"
    shared = {
        "name": facts.name,
        "folder": facts.folder,
        "variables": ", ".join(facts.variables) or "nothing",
        "deadline": facts.deadline,
        "retries": facts.retries,
        "final": " ".join(map(str, FINAL)),
    }
    up, work = f"{facts.name}-up.service", f"{facts.name}-work.service"
    return {
        up: UNIT.format(
            about=f"Bring the databases of {facts.name} to their next version",
            after="",
            kind="oneshot",
            command=" ".join([stepwell, *UP]),
            more=f"RemainAfterExit=no\nTimeoutStartSec={facts.deadline}",
            **shared,
        ),
        work: UNIT.format(
            about=f"Run the data migrations of {facts.name}",
            after=f" {up}\nRequires={up}",
            kind="exec",
            command=" ".join([stepwell, *WORK]),
            more="TimeoutStopSec=60",
            **shared,
        ),
    }
