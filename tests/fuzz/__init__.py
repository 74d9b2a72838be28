"""Losses, kernels and metrics on random degenerate inputs, beside float64.

    python -m tests.fuzz --examples 5000 --processes 2
    python -m tests.fuzz --only 'losses.GSP' --examples 500
    python -m tests.fuzz --only 'losses.GSP' --seed 0 --number 17

An example is known by its subject, a seed and a number. It draws a dtype (float16, bfloat16, float32, float64), sizes
(0, 1, 2 and odd ones), a scale from 1e-5 to 1e5 and flaws: rows of zeros, equal, opposite, huge or tiny rows, constant
rows, columns of zeros; graphs without edges, with isolated nodes, self-loops and repeated edges; labels of one class.
The inputs are rounded to the dtype. Value and gradient are computed in the dtype, and in float64 on the same numbers.
Five things must hold.

``crash``: an exception is a ValueError, TypeError or KeyError that our own code raises; its message quotes a name or
speaks of an argument by its name. Examples of wrong shapes are there for this; where one is accepted instead, the other
rules are not looked at.

``finite``: every entry of value and gradient is finite. A tensor whose largest entry in float64 is above 3e4 for a
result in float16, above 1e18 for one in bfloat16 or float32, is not looked at, nor where that holds of it on ordinary
rows (see below), nor is an entry that is infinite by definition (``INFINITE`` in ``subjects``).

``value``: beside the largest of its tensor, a value is that of float64 to 5 % in float16, 10 % in bfloat16, 1 % in
float32; or to 1e-5, or to a hundred roundings of the largest square, since products cancel; or to a thousandth of the
largest value on ordinary rows, since what sums up to 0 leaves rounding of that size; or to ten times what the float64
value moves when the inputs are moved by four roundings of the dtype, and what layers of the loss give by the sixteen of
theirs up to which rows count as constant, since some problems are ill-posed.

``bound``: no entry of a gradient, in either precision, is above 1e4 times the usual. The usual is the largest entry of
the same gradient on ordinary rows (normal, independent, without flaws) in the same places, with the same graph, labels
and settings. Ordinary rows have the example's scale, or 1, or that of its largest row, or of the smallest thing in it
that is not zero (a row, a difference of two rows, the spread of a row or of a column), or a mixture of these and of one
over the largest, tensor by tensor or row by row. So a gradient may grow as 1 / |x| does where rows are small, and as
|x|^p where they are huge, but not where a row is 0 or rows are equal. What a value, or 1, that changes by four times
itself over the smallest thing has for a gradient is never too much, nor is it times the largest row: where the usual is
0 by construction, as of one row alone, rounding may leave that.

Layers that a loss brings along overflow in float16 as any layer does: losses with parameters are shown float16 rows of
at most 100.
"""
