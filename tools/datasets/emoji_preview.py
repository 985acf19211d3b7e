"""Makes static/data/emoji-preview.webp for the card on Home: one emoji of each of six groups (columns) by each vendor (rows).

    pip install pillow
    python tools/datasets/emoji_preview.py    # after emoji.py, from its sheets
"""

import json
import pathlib

from PIL import Image

STATIC = pathlib.Path(__file__).resolve().parents[2] / 'static' / 'data'
# Places in `labels`, one a group; chosen by eye.
SHOWN = [12, 165, 250, 330, 420, 500]


def main():
    header = json.loads((STATIC / 'emoji.json').read_text())
    size, columns = header['width'], header['columns']
    preview = Image.new('RGB', (size * len(SHOWN), size * len(header['sheets'])), 'white')
    for row, sheet in enumerate(header['sheets']):
        picture = Image.open(STATIC / sheet['file']).convert('RGB')
        for column, tile in enumerate(SHOWN):
            left, top = tile % columns * size, tile // columns * size
            preview.paste(picture.crop((left, top, left + size, top + size)), (column * size, row * size))
    preview.save(STATIC / 'emoji-preview.webp', quality=88, method=6)


main()
