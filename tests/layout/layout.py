#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the layers: object files of a folder refer to, and its sources include, only files of its own or a folder
below, and no call circle has more than two files.

usage: layout.py ROOT FOLDER LIBRARY [FOLDER LIBRARY]...

ROOT is the folder of the sources.

The folders are given from the lowest to the highest, each with the static library that is built from it. The linker
sees neither kind of fault: a program links all libraries at once, and files of one library may refer to each other
freely. Prints a line for each fault. Exit status 0: none, 1: some, 2: usage.
"""
import collections
import os
import re
import subprocess
import sys

# state.h has the state of an open store, which the folders above it share: it embeds their structures.
MAY_INCLUDE_ALL = {'tree/state/state.h'}


class Layout:
    def __init__(self, root, layers):
        self.root = root
        self.folders = {folder.strip('/'): rank for rank, (folder, _) in enumerate(layers)}
        self.rank = {}  # file -> position of its folder
        self.defined = {}  # symbol -> file
        self.undefined = collections.defaultdict(set)  # file -> symbols
        for rank, (folder, library) in enumerate(layers):
            self.read(rank, folder, library)
        self.references = collections.defaultdict(lambda: collections.defaultdict(list))
        for source, symbols in self.undefined.items():
            for symbol in sorted(symbols):
                target = self.defined.get(symbol, source)
                if target != source:
                    self.references[source][target].append(symbol)

    def read(self, rank, folder, library):
        output = subprocess.run(['nm', '-A', library], check=True, capture_output=True, text=True).stdout
        for line in output.splitlines():
            place, rest = line.rsplit(':', 1)
            fields = rest.split()
            member = place.rsplit(':', 1)[1].rsplit('/', 1)[-1].removesuffix('.o')
            # Meson names the object of "disk/future.c" "disk_future.c.o", as seen from the folder of its meson.build.
            parent = folder.strip('/').split('/', 1)
            if len(parent) == 2:
                member = member.removeprefix(parent[1].replace('/', '_') + '_')
            source = folder.strip('/') + '/' + member
            self.rank[source] = rank
            if fields[-2] == 'U':
                self.undefined[source].add(fields[-1])
            elif fields[-2] in 'TDBRVW':
                self.defined[fields[-1]] = source

    def upward(self):
        for source, targets in sorted(self.references.items()):
            for target, symbols in sorted(targets.items()):
                if self.rank[target] > self.rank[source]:
                    yield f'{source} refers upwards to {target}: {", ".join(symbols)}'

    def includes(self):
        """Includes of headers in higher folders.  The installed headers are for all folders."""
        for folder, rank in self.folders.items():
            for name in sorted(os.listdir(os.path.join(self.root, folder))):
                source = folder + '/' + name
                if not name.endswith(('.c', '.h')) or source in MAY_INCLUDE_ALL:
                    continue
                for header in re.findall(r'^#include "([^"]+/[^"/]+)"', self.text(source), re.M):
                    if self.folders.get(os.path.dirname(header), -1) > rank and not self.installed(header):
                        yield f'{source} includes {header} of a higher folder'

    def text(self, source):
        with open(os.path.join(self.root, source), encoding='utf-8') as file:
            return file.read()

    def installed(self, header):
        return '#pragma GCC visibility push(default)' in self.text(header)

    def circles(self):
        for rank in sorted(set(self.rank.values())):
            files = [f for f in self.rank if self.rank[f] == rank]
            reach = {f: self.reach(f, files) for f in files}
            seen = set()
            for f in sorted(files):
                circle = sorted(g for g in files if g in reach[f] and f in reach[g])
                if f not in seen and len(circle) > 2:
                    seen.update(circle)
                    yield 'call circle of %d files: %s' % (len(circle), ', '.join(
                        f'{a} -> {b} ({", ".join(self.references[a][b])})'
                        for a in circle for b in circle if b in self.references[a]))

    def reach(self, start, files):
        """The files of one folder that can be reached by references."""
        found, todo = set(), [start]
        while todo:
            for target in self.references[todo.pop()]:
                if target in files and target not in found:
                    found.add(target)
                    todo.append(target)
        return found


def main():
    arguments = sys.argv[1:]
    if len(arguments) < 3 or len(arguments) % 2 == 0:
        print(__doc__, file=sys.stderr)
        return 2
    layout = Layout(arguments[0], list(zip(arguments[1::2], arguments[2::2])))
    if not layout.defined or not layout.references:
        print('no symbols were found: the check would pass for nothing', file=sys.stderr)
        return 2
    faults = list(layout.upward()) + list(layout.includes()) + list(layout.circles())
    print('\n'.join(faults))
    print('%d files in %d folders, %d faults' % (len(layout.rank), len(set(layout.rank.values())), len(faults)))
    return 1 if faults else 0


sys.exit(main())
