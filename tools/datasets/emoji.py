"""Makes static/data/emoji.json and one sheet of pictures a vendor: the same emoji drawn by three of them.

    pip install pillow resvg-py
    npm pack openmoji@17.0.0 emoji-datasource-google@16.0.0 emoji-datasource-twitter@16.0.0   # and unpack each
    python tools/datasets/emoji.py FOLDER    # holds openmoji/, emoji-datasource-google/, emoji-datasource-twitter/

The label is the group that Unicode gives an emoji. Every picture is 64 x 64, RGB on white; a sheet is lossless WebP,
row by row in the order of `labels`. Up to 80 emoji a group, chosen by the hash of their code, so that the choice is
the same everywhere and depends on nothing else. Skin tones are left out: they are one picture five times.
"""

import hashlib
import io
import json
import pathlib
import sys

import resvg_py
from PIL import Image

SIZE, COLUMNS, PER_CLASS = 64, 24, 80
STATIC = pathlib.Path(__file__).resolve().parents[2] / 'static' / 'data'
VENDORS = [
    ('Noto', 'emoji-noto.webp', 'Apache-2.0',
     'Noto Emoji (Google), from npm emoji-datasource-google 16.0.0'),
    ('Twemoji', 'emoji-twemoji.webp', 'CC-BY-4.0',
     'Twemoji (Twitter, Inc and other contributors), from npm emoji-datasource-twitter 16.0.0'),
    ('OpenMoji', 'emoji-openmoji.webp', 'CC-BY-SA-4.0',
     'OpenMoji (HfG Schwäbisch Gmünd and contributors), from npm openmoji 17.0.0; scaled to 64 pixels'),
]


def flat(picture):
    picture = picture.convert('RGBA')
    if picture.size != (SIZE, SIZE):
        picture = picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    white = Image.new('RGBA', (SIZE, SIZE), 'white')
    return Image.alpha_composite(white, picture).convert('RGB')


def openmoji_file(folder, entry):
    for code in (entry['unified'], entry['non_qualified'] or ''):
        path = folder / 'openmoji/color/svg' / f'{code}.svg'
        if code and path.exists():
            return path
    return None


def main(folder):
    entries = json.loads((folder / 'emoji-datasource-google/emoji.json').read_text())
    chosen = []
    for entry in entries:
        if entry['category'] == 'Component' or not (entry['has_img_google'] and entry['has_img_twitter']):
            continue
        if openmoji_file(folder, entry):
            chosen.append(entry)
    classes = []
    for entry in sorted(chosen, key=lambda entry: entry['sort_order']):
        if entry['category'] not in classes:
            classes.append(entry['category'])
    by_class = {
        name: sorted((entry for entry in chosen if entry['category'] == name),
                     key=lambda entry: hashlib.sha256(entry['unified'].encode()).hexdigest())[:PER_CLASS]
        for name in classes
    }
    items = [entry for name in classes for entry in by_class[name]]
    labels = [classes.index(entry['category']) for entry in items]

    def picture(vendor, entry):
        if vendor == 'OpenMoji':
            svg = openmoji_file(folder, entry).read_text()
            return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE))))
        brand = 'google' if vendor == 'Noto' else 'twitter'
        return Image.open(folder / f'emoji-datasource-{brand}/img/{brand}/64/{entry["image"]}')

    sheets = []
    for vendor, file, licence, origin in VENDORS:
        rows = -(-len(items) // COLUMNS)
        sheet = Image.new('RGB', (COLUMNS * SIZE, rows * SIZE), 'white')
        for index, entry in enumerate(items):
            sheet.paste(flat(picture(vendor, entry)), (index % COLUMNS * SIZE, index // COLUMNS * SIZE))
        sheet.save(STATIC / file, lossless=True, quality=100, method=6)
        data = (STATIC / file).read_bytes()
        sheets.append({'group': vendor, 'file': file, 'bytes': len(data),
                       'sha256': hashlib.sha256(data).hexdigest(), 'licence': licence, 'origin': origin})
    manifest = {
        'format': 1,
        'name': 'Emoji by three vendors',
        'height': SIZE, 'width': SIZE, 'channels': 3, 'columns': COLUMNS,
        'target': 'group of the emoji', 'groupName': 'vendor',
        'classes': classes, 'labels': labels,
        'codes': [entry['unified'] for entry in items],
        'sheets': sheets,
    }
    (STATIC / 'emoji.json').write_text(json.dumps(manifest, separators=(',', ':')) + '\n')
    print({name: labels.count(i) for i, name in enumerate(classes)}, [s['bytes'] for s in sheets])


main(pathlib.Path(sys.argv[1]))
