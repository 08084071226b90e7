"""Dynamics without forces, to be served as a stream."""

from ase import units


class Replay:
    """Dynamics that plays given structures, one per step."""

    def __init__(self, images, dt_fs=1.0):
        self.images = images
        self.dt = dt_fs * units.fs
        self.nsteps = 0

    @property
    def atoms(self):
        return self.images[self.nsteps % len(self.images)]

    def get_time(self):
        return self.nsteps * self.dt

    def run(self, n, observer):
        for _ in range(n):
            observer()
            self.nsteps += 1
