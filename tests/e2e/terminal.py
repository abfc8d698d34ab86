# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands with a live table in a terminal (tmux)."""
import os
import re
import subprocess

from conftest import MEMTALLY, BpfIds, host_pid_below, need, wait_until


def has_prompt(screen):
    return re.search(r"^bash-.*[#$]$", screen.rstrip().splitlines()[-1] if screen.strip() else "")


def has_status(screen):
    """The status that `echo status=$?` prints; not the command itself."""
    return re.search(r"status=\d", screen)


def clock_of(screen):
    """The time in the first line; empty while the table is being drawn."""
    found = re.search(r"\d\d:\d\d:\d\d", screen.split("\n")[0])
    return found[0] if found else ""


# For a shell's command line: an empty screen, without a program that may be missing.
CLEAR = r"printf '\e[H\e[2J'"


class Terminal:
    """A shell in a terminal of its own."""

    def __init__(self, directory, width=80, height=24):
        self.tmux = [need("tmux"), "-S", str(directory / "tmux"), "-f", "/dev/null"]
        env = {**os.environ, "LC_ALL": "C.UTF-8"}
        env.pop("TMUX", None)
        subprocess.run([*self.tmux, "-u", "new-session", "-d", "-x", str(width), "-y", str(height),
                        "bash --norc --noprofile"], check=True, env=env)
        self.shell = int(self.ask("display-message", "-p", "#{pane_pid}"))

    def ask(self, *args):
        return subprocess.run([*self.tmux, *args], check=True,
                              stdout=subprocess.PIPE).stdout.decode()

    def screen(self):
        return self.ask("capture-pane", "-p")

    def lines(self):
        return self.screen().splitlines()

    def keys(self, *keys):
        self.ask("send-keys", *keys)

    def type(self, text):
        self.ask("send-keys", "-l", text)

    def resize(self, width, height):
        self.ask("resize-window", "-x", str(width), "-y", str(height))

    def wait(self, condition, what):
        """The first screen that satisfies the condition."""
        seen = [""]

        def look():
            seen[0] = self.screen()
            return condition(seen[0])
        try:
            wait_until(look, what)
        except AssertionError as e:
            raise AssertionError(f"{e}; the screen:\n{seen[0]}") from None
        return seen[0]

    def close(self):
        subprocess.run([*self.tmux, "kill-server"], check=False, stderr=subprocess.DEVNULL)


class LiveTable(Terminal):
    """Of `memtally command`."""

    command = None
    memtally = MEMTALLY

    def start(self, *args, env="", live=True):
        """Until the table is drawn; live=False: until there is text."""
        args = " ".join(map(str, args))
        self.type(f"{CLEAR}; {env} {self.memtally} {self.command} {args}; echo status=$?\n")
        self.wait(lambda s: s.startswith(self.command) and (clock_of(s) or not live)
                  or has_status(s), "the table")
        self.pid = host_pid_below(self.shell, os.path.basename(self.memtally))
        self.bpf = BpfIds(self.pid)
        wait_until(lambda: self.bpf.collect().ids["prog"] or has_status(self.screen()), "programs")
        return self

    def quit(self, key="q"):
        self.keys(key)
        return self.ended()

    def ended(self):
        """Its last words; the terminal is as a shell wants it, the kernel as before."""
        screen = self.wait(has_status, "the end")
        assert "Traced for" in screen, screen
        self.type(f"{CLEAR}; stty -a\n")
        modes = self.wait(lambda s: "icanon" in s and has_prompt(s), "stty").split()
        assert all(mode in modes for mode in ("echo", "icanon", "isig", "onlcr")), modes
        self.bpf.assert_gone()
        return screen
