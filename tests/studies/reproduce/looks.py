"""What an eye checks on a figure and a program can check too."""

from itertools import combinations

from matplotlib.text import Text


def flaws(figure):
    """Return a sentence for everything that is cut off, covered or without a unit."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    found = []
    page = figure.bbox.padded(1.0)
    unused = {
        tick.label1
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in unused]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    found += [f'"{what}" is cut off' for what, box in boxes if not _within(box, page)]
    legends = [legend.get_window_extent(renderer) for legend in figure.legends]
    if any(legend.overlaps(axes.get_window_extent(renderer)) for legend in legends for axes in figure.axes):
        found.append("a legend covers data")
    found += [
        f'"{a}" and "{b}" overlap' for (a, one), (b, other) in combinations(boxes, 2) if one.padded(-1).overlaps(other)
    ]
    for axes in figure.axes:
        if axes.get_ylabel() and "," not in axes.get_ylabel() and axes.get_ylabel() != "split":
            found.append(f'"{axes.get_ylabel()}" has no unit')
        drawn = axes.lines or axes.patches or axes.containers
        if not drawn:
            found.append(f'"{axes.get_title(loc="left")}" is empty')
    return found


def _within(box, page):
    return box.x0 >= page.x0 and box.y0 >= page.y0 and box.x1 <= page.x1 and box.y1 <= page.y1
