#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that each message of the daemon's log is in the manual, under DIAGNOSTICS.

usage: messages.py ROOT MANUAL

ROOT is the folder of the sources. The test `manual` checks the other direction. Prints a line for each message that is
missing. Exit status 0: none, 1: some, 2: usage.
"""
import os
import re
import sys

FOLDERS = ('journal', 'tree', 'fs')
REPORT = re.compile(r'\b(th_store_report|th_fs_report|th_disk_report|th_report_format|report_line|report_info|th_store_fail)\(')
# A format is literals, with the macros of inttypes.h between them.
FORMAT = re.compile(r'(?:\s*(?:"(?:[^"\\\n]|\\.)*"|PRI\w+))+')
DIRECTIVE = re.compile(r'%[-+ #0-9.*]*(?:ll|l|z)?[a-zA-Z]')
# These are printed on the terminal by the command, before there is a daemon.
TERMINAL = ('cannot mount ', '%s: %s')


def sources(root):
    for folder in FOLDERS:
        for path, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                if name.endswith('.c'):
                    yield os.path.join(path, name)


def call_end(text, at):
    """The end of the arguments that begin at `at`."""
    depth = 1
    for match in re.compile(r'"(?:[^"\\\n]|\\.)*"|[()]').finditer(text, at):
        depth += {'(': 1, ')': -1}.get(match.group(), 0)
        if depth == 0:
            return match.start()
    return len(text)


def messages(root):
    """Yields path, function and format of each report whose format is a literal."""
    for path in sources(root):
        with open(path, encoding='utf-8') as file:
            text = file.read()
        for call in REPORT.finditer(text):
            arguments = text[call.end():call_end(text, call.end())]
            begin = arguments.find('"')
            if begin < 0:
                continue
            parts = re.findall(r'"((?:[^"\\\n]|\\.)*)"|PRI\w+', FORMAT.match(arguments, begin).group())
            line = ''.join(part or 'd' for part in parts)
            if DIRECTIVE.sub('', line).strip() and not line.startswith(TERMINAL):
                yield os.path.relpath(path, root), call.group(1), line


def diagnostics(manual):
    with open(manual, encoding='utf-8') as file:
        section = file.read().split('\n.Sh DIAGNOSTICS\n')[1].split('\n.Sh ')[0]
    return section


def is_in(section, function, line):
    if function == 'th_store_fail':
        return line in ' '.join(section.split())
    pattern = '.+'.join(re.escape(fixed) for fixed in DIRECTIVE.split(line))
    return re.search(r'^\.It (IMAGE: )?' + pattern + '$', section, re.M)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    section = diagnostics(sys.argv[2])
    found = list(messages(sys.argv[1]))
    missing = [message for message in found if not is_in(section, *message[1:])]
    for path, _, line in missing:
        print(f'{path}: the manual has no: {line}')
    print('%d messages, %d missing in the manual' % (len(found), len(missing)))
    return 1 if missing or len(found) < 20 else 0


sys.exit(main())
