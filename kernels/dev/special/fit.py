"""Finds the polynomials of kernels/common/special.h: weighted minimax fits by Remez exchange in 60 digits.

Run: python3 fit.py (needs mpmath). Prints the coefficients as hexadecimal floats, lowest degree first, and the largest
weighted error of each fit before rounding; kernels/dev/special/measure.cc then measures the functions that use them.
"""
import struct

from mpmath import erf, erfc, exp, expm1, log, lu_solve, matrix, mp, mpf, pi, sqrt, tanh

mp.dps = 60


def fit(f, weight, low, high, degree):
    """Coefficients of the polynomial of `degree` that minimises the largest |weight (f - p)| on [low, high]."""
    low, high, n = mpf(low), mpf(high), degree + 2
    middle, half = (low + high) / 2, (high - low) / 2
    points = [middle - half * mp.cos(pi * i / (n - 1)) for i in range(n)]
    grid = [middle - half * mp.cos(pi * i / 2000) for i in range(2001)]
    for _ in range(12):
        a = matrix(n, n)
        b = matrix(n, 1)
        for i, x in enumerate(points):
            for j in range(degree + 1):
                a[i, j] = x**j
            a[i, degree + 1] = (-1) ** i / weight(x)
            b[i] = f(x)
        solution = lu_solve(a, b)
        c = [solution[j] for j in range(degree + 1)]
        errors = [weight(x) * (f(x) - mp.polyval(c[::-1], x)) for x in grid]
        # The extreme of each run of one sign is the next reference point.
        extremes, start = [], 0
        for i in range(1, len(grid) + 1):
            if i == len(grid) or (errors[i] > 0) != (errors[start] > 0):
                extremes.append(max(range(start, i), key=lambda k: abs(errors[k])))
                start = i
        while len(extremes) > n:
            extremes.pop(0 if abs(errors[extremes[0]]) < abs(errors[extremes[-1]]) else -1)
        if len(extremes) < n:
            break
        points = [grid[k] for k in extremes]
    return c, max(abs(e) for e in errors)


def single(value):
    return struct.unpack("f", struct.pack("f", float(value)))[0]


def show(name, f, weight, low, high, degree):
    c, error = fit(f, weight, low, high, degree)
    print(f"{name}: weighted error {float(error):.2e} = 2^{float(log(error, 2)):.1f}")
    print("  " + ", ".join(f"{single(v).hex()}f" for v in c))


tiny = mpf(10) ** -20
ln2 = log(2)
# exp(r) = 1 + r + r^2 p(r)
show("exp", lambda r: (expm1(r) - r) / r**2 if abs(r) > tiny else mpf(1) / 2, lambda r: r**2 / exp(r), -ln2 / 2 * 1.01, ln2 / 2 * 1.01, 4)
# expm1(r) = r + r^2 p(r); the error relative to expm1
show("expm1", lambda r: (expm1(r) - r) / r**2 if abs(r) > tiny else mpf(1) / 2, lambda r: abs(r) if abs(r) > tiny else tiny, -ln2 / 2 * 1.01, ln2 / 2 * 1.01, 5)


def log_rest(f):
    return (mp.log1p(f) - f + f * f / 2) / f**3 if abs(f) > tiny else mpf(1) / 3


# log(1 + f) = f - f^2 / 2 + f^3 p(f)
show("log", log_rest, lambda f: abs(f**3 / mp.log1p(f)) if abs(f) > tiny else tiny, sqrt(mpf(1) / 2) - 1, sqrt(mpf(2)) - 1, 8)
# tanh(x) = x + x^3 p(x^2)
show("tanh", lambda s: (tanh(sqrt(s)) / sqrt(s) - 1) / s if s > tiny else -mpf(1) / 3, lambda s: s if s > tiny else tiny, 0, mpf("0.5625") ** 2, 4)
# erf(x) = x + x p(x^2)
show("erf", lambda s: erf(sqrt(s)) / sqrt(s) - 1 if s > tiny else 2 / sqrt(pi) - 1, lambda s: mpf(1), 0, mpf("0.921875") ** 2, 6)


# erfc(t) = exp(-t^2) u p(u) with u = 1 / (1 + bend t). Beyond t = 4 (erfc below 1.6e-8) the error may grow with t; the bend is the best of
# those tried, 0.25 to 0.5.
bend = mpf("0.42")


def tail(u):
    t = (1 / u - 1) / bend
    return exp(t * t) * erfc(t) / u


def tail_weight(u):
    return min(mpf(1), exp(8 - 2 * (1 / u - 1) / bend)) / tail(u)


show("erfc", tail, tail_weight, 1 / (1 + bend * 10), 1, 7)
