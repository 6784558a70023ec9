"""Whole models on one thread beside ONNX Runtime and OpenVINO, fused and not."""
import argparse

import models

from .report import number

NAMES = ('whisper_small_encoder', 'sd_block_320', 'sd_block_320_sdpa', 'bert_base', 'gpt2', 'minilm')
WHERE = {'batch': 1}
THREADS = 1


class Models:
    NAME, TITLE = 'models', 'Whole models, one thread'
    yardsticks = ()
    ROUNDS = 1  # they have pairs of their own

    def __init__(self, folder, binaries, seconds, pairs):
        self.options = argparse.Namespace(models=folder, bin=binaries, seconds=seconds, pairs=pairs, where=WHERE)
        self.rows, self.notes = [], set()

    def measure(self, *_):
        known = models.read_models(self.options.models)
        for name in NAMES: self.rows += models.measure(self.options, known[name], THREADS, self.notes)

    def report(self, out):
        out.text('Milliseconds; ratios are medians of alternating pairs, above 1: Burin is faster.')
        out.table(models.HEAD, [*map(models.cells, self.rows), models.mean_cells(self.rows)])
        if self.notes: out.text('\n'.join(f'- {n}' for n in sorted(self.notes)))
        ratios = {models.PEERS[p]: [r.ratios.get(p) for r in self.rows] for p in models.PEERS}
        out.bars(self.NAME, 'Whole models, one thread', 'peer / Burin', [f'{r.name} {models.words(r.dims)}' for r in self.rows], ratios,
                 (1, 'Burin'))
