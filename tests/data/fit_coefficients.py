#!/usr/bin/env python3
"""Fits the polynomials of src/codegen/math.cpp and prints src/codegen/math_tables.h.

    pip install numpy scipy
    fit_coefficients.py polynomials
    fit_coefficients.py tables > src/codegen/math_tables.h

Each fit minimizes the largest relative error over a dense grid by linear programming; coefficients are
then rounded to f32 one by one, lowest power first, and the others fitted again.
"""

import math
import sys

import numpy as np
from scipy.optimize import linprog
from scipy.special import erf

LONG = np.longdouble


def grid(low, high, points):
    t = np.cos(np.pi * np.arange(points) / (points - 1))
    return ((low + high) / 2 - (high - low) / 2 * t).astype(LONG)


def minimax(rest, basis, weight):
    """The c that minimizes max |weight * (rest - basis c)|: least squares, then a linear program for what is left."""
    a = (basis * weight[:, None]).astype(float)
    y = (rest * weight).astype(float)
    scale = np.abs(a).max(0)
    a = a / scale
    c = np.zeros(a.shape[1])
    for _ in range(3):
        c += np.linalg.lstsq(a, (y.astype(LONG) - a.astype(LONG) @ c.astype(LONG)).astype(float), rcond=None)[0]
    left = (y.astype(LONG) - a.astype(LONG) @ c.astype(LONG)).astype(float)
    unit = np.abs(left).max()
    if unit == 0:
        return c / scale
    ones = np.ones((len(y), 1))
    program = linprog(np.r_[np.zeros(a.shape[1]), 1],
                      A_ub=np.block([[a, -ones], [-a, -ones]]), b_ub=np.r_[left / unit, -left / unit],
                      bounds=[(None, None)] * a.shape[1] + [(0, None)], method="highs")
    return (c + program.x[:-1] * unit) / scale


def fit(f, powers, low, high, fixed=None, points=1201):
    """{power: f32 coefficient} with the smallest relative error to f on [low, high], and that error."""
    x = grid(low, high, points)
    y = f(x)
    weight = np.where(y == 0, 0, 1 / np.where(y == 0, 1, np.abs(y))).astype(float)
    fixed = dict(fixed or {})
    left = [p for p in powers if p not in fixed]
    value = lambda: sum((LONG(c) * x**p for p, c in fixed.items()), LONG(0) * x)
    while left:
        c = minimax(y - value(), np.stack([x**p for p in left], 1), weight)
        fixed[left.pop(0)] = float(np.float32(c[0]))
    return dict(sorted(fixed.items())), np.abs(((y - value()) * weight).astype(float)).max()


def literal(c):
    text = f"{c:.9g}"
    return text + ("F" if "." in text or "e" in text else ".0F")


def polynomials():
    ln2 = math.log(2)
    root = math.sqrt(2) * 1.0001
    atanh = lambda s: np.where(s < 1e-4, 1 / LONG(3) + s / 5 + s * s / 7,
                               (np.arctanh(np.sqrt(s)) / np.sqrt(np.where(s == 0, 1, s)) - 1) / np.where(s == 0, 1, s))
    for name, f, powers, low, high, fixed in (
            ("2^x, fraction, degree 5", np.exp2, range(6), 0, 1, {0: 1.0}),
            ("2^x, fraction, degree 6", np.exp2, range(7), 0, 1, {0: 1.0}),
            ("2^x, nearest, degree 5", np.exp2, range(6), -.5, .5, {0: 1.0}),
            ("2^x, nearest, degree 6", np.exp2, range(7), -.5, .5, {0: 1.0}),
            ("e^r", np.exp, range(7), -ln2 / 2 * 1.0001, ln2 / 2 * 1.0001, {0: 1.0, 1: 1.0}),
            ("tanh", np.tanh, range(1, 12, 2), 0, .625, {1: 1.0}),
            ("sin", np.sin, range(1, 10, 2), 0, math.pi / 2 * 1.02, {1: 1.0}),
            ("log(1 + f)", np.log1p, range(1, 10), 1 / root - 1, root - 1, {1: 1.0, 2: -.5}),
            ("(atanh(q) / q - 1) / q^2 in q^2", atanh, range(4), 0, ((root - 1) / (root + 1))**2, {})):
        c, error = fit(f, powers, low, high, fixed)
        print(f"{name}: {', '.join(map(literal, c.values()))}   error {error:.2e}")
    print(f"e^-r / K - 1: {', '.join(map(literal, sigmoid_polynomial()))}")


STEP = math.log(2) / 16
HALF_STEP = STEP / 2 * 1.0001


def scaled_powers():
    """K, and K 2^(i / 16) for i < 16: e^-r / K >= 1 for |r| <= HALF_STEP, and f32 has the powers as nearly as can be found.
    What is minimized is the error of 1 + e^-x in units of 2^-24, where it is large and where it begins at 2."""
    powers = np.exp2(np.arange(16) / 16)
    k = math.exp(-HALF_STEP) * (1 - 1e-5 - np.arange(2000000) * 1e-9)
    rows = k[:, None] * powers
    error = np.abs(rows.astype(np.float32) / rows - 1) * 2**24
    best = np.argmin(np.maximum(error + 1 / powers, error / 2 + 3 / (1 + powers)).max(1))
    return k[best], [float(np.float32(p)) for p in rows[best]]


def sigmoid_polynomial():
    """e^-r / K - 1"""
    k = scaled_powers()[0]
    c = list(fit(lambda r: np.exp(-r), range(4), -HALF_STEP, HALF_STEP)[0].values())
    return [float(np.float32(v)) for v in [(c[0] - k) / k] + [v / k for v in c[1:]]]


ERF = lambda a: erf(a.astype(float)).astype(LONG)
ERF_LESS_A = lambda a: ERF(a) - a
GELU = lambda a: ERF(a * np.sqrt(.5))


def fit_around(f, point, low, high, degree):
    """f(point + x) for low <= point + x <= high; exactly 0 at 0."""
    return list(fit(lambda x: f(point + x), range(degree + 1), low - point, high - point, {} if point else {0: 0.0},
                    points=301)[0].values())


def even_intervals(f, entries, width, degree, first=None):
    """Around multiples of `width`, up to the last of them; of `first` around 0."""
    for i in range(entries):
        yield fit_around(f if i else first or f, i * width, max(i - .5, 0) * width, min(i + .5, entries - 1) * width, degree)


def floating_intervals(f, scale, degree, clamp):
    """From t = scale * a + 1/2 by its exponent and two bits more; in the order of those low four bits. The last row holds
    the points around which they lie, of few bits, so that the distance from them is exact."""
    first = int(np.float32(.5).view(np.uint32)) >> 21
    rows = {}
    for n in range(first, first + 16):
        low, high = ((float(np.uint32(m << 21).view(np.float32)) - .5) / scale for m in (n, n + 1))
        high = min(high, clamp)
        point = round((low + high) / 2 * 32) / 32 if low else 0.0
        rows[n % 16] = fit_around(f, point, low, high, degree) + [point]
    return [rows[n] for n in range(16)]


def tables():
    # Widths are such that the f32 result is 1 at 15 (or 7) of them.
    print("""// Polynomials by interval, for the formulas that look their coefficients up (math.cpp). Made by
// tests/data/fit_coefficients.py: entry [k][i] is the coefficient of f^k in interval i.

#pragma once

namespace burin::codegen::tables {
""")
    for name, comment, rows in (
            ("kErf16", "erf(a) around 0.26171875 i; erf(a) - a around 0", even_intervals(ERF, 16, .26171875, 5, ERF_LESS_A)),
            ("kErf8", "erf(a) around 0.5625 i; erf(a) - a around 0", even_intervals(ERF, 8, .5625, 6, ERF_LESS_A)),
            ("kGelu16", "erf(a / sqrt 2) around 0.37109375 i", even_intervals(GELU, 16, .37109375, 5)),
            ("kGelu8", "erf(a / sqrt 2) around 0.796875 i", even_intervals(GELU, 8, .796875, 6)),
            ("kTanh16", "tanh(a) by the exponent and two bits more of t = 0.8125 a + 1/2; last the points around which the "
             "polynomials lie", floating_intervals(np.tanh, .8125, 5, 9.2)),
            ("kPowers16", "K 2^(i / 16), with K a little below 2^(-1 / 32)", [[p] for p in scaled_powers()[1]])):
        powers = np.array(list(rows)).T
        assert np.abs(powers[powers != 0]).min() > 1.2e-38  # a denormal operand is slow
        print(f"/// {comment}.\nalignas(64) inline constexpr float {name}[{powers.shape[0]}][{powers.shape[1]}] = {{")
        for row in powers:
            lines = [[]]
            for c in row:
                if sum(len(t) + 2 for t in lines[-1]) + len(literal(c)) > 88:
                    lines.append([])
                lines[-1].append(literal(c))
            print("    {" + ",\n     ".join(", ".join(line) for line in lines) + "},")
        print("};\n")
    print("}  // namespace burin::codegen::tables")


if __name__ == "__main__":
    {"polynomials": polynomials, "tables": tables}[sys.argv[1]]()
