"""What a run found: Markdown tables, and plots where matplotlib is installed."""
import pathlib

try:
    import matplotlib
    matplotlib.use('svg')
    import matplotlib.pyplot as plt
except ImportError:
    plt = None

# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9')


def number(value, digits=2):
    return '-' if value is None else f'{value:.{digits}f}'


def ratio(numerator, denominator):
    """None where one of them is not known."""
    return None if numerator is None or denominator is None else numerator / denominator


def pair(times, key, unit=1.0, digits=1):
    """Best / median; `unit`: microseconds of the unit shown."""
    if key not in times: return '-'
    return f'{times.best(key) / unit:.{digits}f} / {times.median(key) / unit:.{digits}f}'


class Report:
    """Collects text, prints it as it comes, and writes it to folder/tables.md with the plots beside it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder) if folder else None
        self.lines = []
        if not self.folder: return
        self.folder.mkdir(parents=True, exist_ok=True)
        if not plt: print('No plots: matplotlib is not installed.')

    def text(self, text):
        self.lines += [text, '']
        print(text, flush=True)
        print()

    def table(self, head, rows):
        body = [' | '.join(cells) for cells in (head, ['---'] * len(head), *rows)]
        self.text('\n'.join(f'| {line} |' for line in body))

    def bars(self, name, title, y_label, categories, series, line=None):
        """series: {label: one value a category, None where there is none}; line: (value, label)."""
        if not self.folder or not plt: return
        series = {label: values for label, values in series.items() if any(v is not None for v in values)}
        if not series: return
        width = 0.8 / len(series)
        with plt.rc_context({'svg.fonttype': 'none', 'svg.hashsalt': name, 'font.size': 9}):
            figure, axes = plt.subplots(figsize=(max(6.0, 0.24 * len(categories) * (len(series) + 1)), 4.2))
            for i, ((label, values), colour) in enumerate(zip(series.items(), COLOURS)):
                known = [(x + (i - (len(series) - 1) / 2) * width, v) for x, v in enumerate(values) if v is not None]
                axes.bar(*zip(*known), width, label=label, color=colour)
            if line: axes.axhline(line[0], color='black', linestyle='--', linewidth=1, label=line[1])
            axes.set_xticks(range(len(categories)), categories, rotation=30, ha='right')
            axes.set(title=title, ylabel=y_label, xlim=(-0.6, len(categories) - 0.4))
            axes.spines[['top', 'right']].set_visible(False)
            axes.legend(frameon=False, loc='upper left', bbox_to_anchor=(1, 1))
            figure.savefig(self.folder / f'{name}.svg', bbox_inches='tight', metadata={'Date': None})
            plt.close(figure)
        self.text(f'![{title}]({name}.svg)')

    def write(self):
        if self.folder: (self.folder / 'tables.md').write_text('\n'.join(self.lines))
