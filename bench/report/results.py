# SPDX-License-Identifier: ISC
"""results.py: report.json, and how to ask it for figures.

	{"format": 2, "replay": results.json of the replay, "scenes": {name: ...}, "handoff": ..., "waits": ..., "seconds": ...}

What is missing was not measured: the run was interrupted, or the program could not run on this machine.
"""
import json

import figures as N

# Counts and bytes: what else the machine does adds nothing to them that the rounds do not show.
NOT_TIMES = {'memory held', 'peak backlog', 'mean backlog', 'peak zombies', 'peak zombie memory'}

REAP, REAPERS = 'adaptive', ('plain', 'batching')
SIDES = ('adaptive', 'parent', 'successor', 'adopter', 'early', 'plain', 'batching')


class Bad(Exception):
    """A file that is not what it should be."""


def load(path):
    try:
        with open(path, encoding='utf-8') as file:
            data = json.load(file)
    except OSError as error:
        raise Bad('%s: %s' % (path, error.strerror)) from error
    except ValueError as error:
        raise Bad('%s: is not JSON: %s' % (path, error)) from error
    if not isinstance(data, dict) or data.get('format') != 2 or 'replay' not in data:
        raise Bad('%s: is no report.json of bench/run' % path)
    return Results(data)


class Results:
    def __init__(self, data):
        self.data = data
        self.replay = data['replay']
        self.cells = {}
        for cell in self.replay['cells']:
            cell['by_name'] = {figure['name']: figure for figure in cell['figures']}
            self.cells[self.place(cell) + (cell['side'],)] = cell
        self.places = list(dict.fromkeys(key[:3] for key in self.cells))
        self.workers = max((place[2] for place in self.places), default=0)
        self.known_ratios = {}
        self.watched = {self.place(group): group for group in self.replay.get('noise', [])}

    @staticmethod
    def place(cell):
        return cell['trace'], cell['copies_asked'], cell['workers']

    def copies(self, place):
        return next(cell['copies'] for key, cell in self.cells.items() if key[:3] == place)

    def cell(self, place, side):
        return self.cells.get(place + (side,))

    def rounds(self, place, side, name):
        cell = self.cell(place, side)
        figure = cell and cell['by_name'].get(name)
        return figure['rounds'] if figure else []

    def latency(self, place, side, name):
        cell = self.cell(place, side)
        data = cell and cell['latencies'].get(name)
        return N.Latency(data) if data else None

    def one(self):
        """One tree at a time, on all workers."""
        return [place for place in self.places if place[1] == 1 and place[2] == self.workers]

    def many(self):
        return [place for place in self.places if place[1] != 1 and place[2] == self.workers]

    # ---- the machine ----

    @staticmethod
    def waver(group):
        """By what share did the machine waver while this was measured?"""
        slow = N.quantile(group['pace'], 0.75)
        wavered = (group['others'] or 0) + (group['stolen'] or 0)
        if slow and group['pace_min']:
            wavered += max(0, slow / group['pace_min'] - 1)
        return wavered

    def noise(self, places=None):
        """The worst of the places, all of them without any."""
        return max((self.waver(self.watched[place]) for place in places or self.watched if place in self.watched), default=0)

    def scene_noise(self, scene):
        watched = scene.get('noise') if scene else None
        return self.waver(watched) if watched else self.noise()

    # ---- comparisons ----

    def figure(self, place, side, name):
        return N.of_rounds(self.rounds(place, side, name), self.noise([place]) if name not in NOT_TIMES else 0, name)

    def ratio(self, places, ours, theirs, name):
        key = (tuple(places), ours, theirs, name)
        if key not in self.known_ratios:
            pairs = [(self.rounds(place, ours, name), self.rounds(place, theirs, name)) for place in places]
            pairs = [pair for pair in pairs if N.ratios(*pair)]
            noise = self.noise(places) if name not in NOT_TIMES else 0
            self.known_ratios[key] = N.mean_ratio(pairs, noise, name) if pairs else N.NONE
        return self.known_ratios[key]

    def comparisons(self):
        """Every headline ratio of reap to a reaper: (place, reaper, figure, Interval, better)."""
        for row in self.replay.get('ratios', []):
            place = self.place(row)
            ratio = self.ratio([place], row['of'], row['to'], row['name'])
            if ratio.mid is not None:
                yield place, row['of'], row['to'], row['name'], ratio

    def scene(self, name):
        return self.data.get('scenes', {}).get(name)

    def point(self, scene, side, x, name):
        data = self.scene(scene)
        for point in data['points'] if data else ():
            if point['side'] == side and point['x'] == x:
                for figure in point['figures']:
                    if figure['name'] == name:
                        return figure['rounds']
        return []

    def xs(self, scene, side=REAP):
        data = self.scene(scene)
        return [point['x'] for point in data['points'] if point['side'] == side] if data else []

    def scene_sides(self, scene):
        data = self.scene(scene)
        return list(dict.fromkeys(point['side'] for point in data['points'])) if data else []

    def point_interval(self, scene, side, x, name):
        return N.of_rounds(self.point(scene, side, x, name), self.noise_of(scene, name), name)

    def point_ratio(self, scene, ours, theirs, x, name):
        pair = self.point(scene, ours, x, name), self.point(scene, theirs, x, name)
        return N.mean_ratio([pair], self.noise_of(scene, name), name)

    def noise_of(self, scene, name):
        return 0 if name in NOT_TIMES else self.scene_noise(self.scene(scene))
