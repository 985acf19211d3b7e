"""Small pictures in every format, malformed ones, and zips good and hostile, for the tests of bringing pictures.

    pip install pillow==13.0.0
    python tools/golden/pictures.py tests/fixtures/pictures

The picture has four quadrants: red, green / blue, yellow.
"""

import io
import struct
import sys
import zipfile
import zlib
from pathlib import Path

from PIL import Image

SIDE = 64
RED, GREEN, BLUE, YELLOW = (220, 20, 20), (20, 160, 40), (30, 40, 200), (230, 210, 20)


def quadrants(side=SIDE):
    picture = Image.new("RGB", (side, side), RED)
    half = side // 2
    picture.paste(GREEN, (half, 0, side, half))
    picture.paste(BLUE, (0, half, half, side))
    picture.paste(YELLOW, (half, half, side, side))
    return picture


def encoded(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def png_chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_claiming(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 64)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def jpeg_claiming(width, height):
    """A real JPEG whose frame says another size."""
    data = bytearray(encoded(quadrants(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def good(folder):
    picture = quadrants()
    jpeg = encoded(picture, "JPEG", quality=95, subsampling=0)
    (folder / "quadrants.jpg").write_bytes(jpeg)
    (folder / "quadrants.png").write_bytes(encoded(picture, "PNG"))
    (folder / "quadrants.webp").write_bytes(encoded(picture, "WEBP", lossless=True))
    (folder / "quadrants-lossy.webp").write_bytes(encoded(picture, "WEBP", quality=95))
    (folder / "quadrants.bmp").write_bytes(encoded(picture, "BMP"))
    (folder / "quadrants.avif").write_bytes(encoded(picture, "AVIF", quality=95))
    white = Image.new("RGB", (SIDE, SIDE), "white")
    moving = encoded(picture, "GIF", save_all=True, append_images=[white], duration=50)
    (folder / "two-frames.gif").write_bytes(moving)
    # Orientation 6: shown turned by 90 degrees clockwise, so it is stored turned the other way.
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    (folder / "turned.jpg").write_bytes(encoded(turned, "JPEG", quality=95, subsampling=0, exif=exif))
    clear = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    clear.paste(RED + (255,), (SIDE // 2, 0, SIDE, SIDE))
    (folder / "transparent.png").write_bytes(encoded(clear, "PNG"))
    grey = Image.linear_gradient("L").resize((SIDE, SIDE))
    (folder / "grey.png").write_bytes(encoded(grey, "PNG"))
    wide = Image.new("RGB", (SIDE * 2, SIDE), BLUE)
    wide.paste(YELLOW, (SIDE // 2, 0, SIDE * 3 // 2, SIDE))
    (folder / "wide.png").write_bytes(encoded(wide, "PNG"))


def malformed(folder):
    picture = quadrants(256)
    noisy = Image.effect_noise((256, 256), 80).convert("RGB")
    for kind, ending in (("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")):
        data = encoded(noisy, kind)
        (folder / f"truncated.{ending}").write_bytes(data[: len(data) // 3])
    (folder / "cut-header.jpg").write_bytes(encoded(picture, "JPEG")[:30])
    (folder / "cut-header.png").write_bytes(encoded(picture, "PNG")[:18])
    (folder / "text.jpg").write_text("This is a letter, not a picture.\n")
    (folder / "empty.png").write_bytes(b"")
    (folder / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    (folder / "drawing-as.png").write_text('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "enormous.png").write_bytes(png_claiming(50_000, 50_000))
    (folder / "enormous.jpg").write_bytes(jpeg_claiming(50_000, 50_000))
    (folder / "nothing.png").write_bytes(png_claiming(0, 10))
    (folder / "telephone.heic").write_bytes(struct.pack(">I", 24) + b"ftypheic" + b"\0\0\0\0mif1heic")
    (folder / "scan.tiff").write_bytes(encoded(picture.resize((8, 8)), "TIFF"))
    (folder / "noise.gif").write_bytes(b"GIF89a" + bytes(range(60)))
    (folder / "noise.avif").write_bytes(struct.pack(">I", 28) + b"ftypavif" + bytes(64))


def zips(folder):
    def packed(name, files, method=zipfile.ZIP_DEFLATED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            for path, data in files:
                archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data, method)
        (folder / name).write_bytes(out.getvalue())
        return out.getvalue()

    def tinted(red):
        return encoded(Image.new("RGB", (40, 40), (red, 90, 90)), "PNG")

    files = [(f"zoo/{kind}/{n}.png", tinted(n * 9 + k)) for k, kind in enumerate(("cat", "dog")) for n in range(6)]
    extras = [("zoo/notes.txt", b"hello"), ("__MACOSX/zoo/cat/._1.png", b"\0" * 20), ("zoo/.DS_Store", b"\0")]
    whole = packed("good.zip", files + extras)
    (folder / "cut.zip").write_bytes(whole[: len(whole) // 2])
    (folder / "not.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    packed("bomb.zip", [*files, ("zoo/cat/bomb.png", b"\0" * (8 << 20))])
    names = ("../../evil.png", "/etc/evil.png", "C:\\evil.png", "zoo/../../evil.png")
    packed("names.zip", [*files, *((name, tinted(3)) for name in names)])
    # The table of contents promises fewer bytes than the entry unpacks to.
    lying = bytearray(packed("lying.zip", [*files, ("zoo/dog/z.png", b"\x89PNG\r\n\x1a\n" + b"A" * 60_000)]))
    at = lying.rindex(b"PK\x01\x02")
    lying[at + 24 : at + 28] = struct.pack("<I", 100)
    (folder / "lying.zip").write_bytes(bytes(lying))
    # The flag of an entry that needs a password.
    locked = bytearray(whole)
    at = locked.index(b"PK\x01\x02")
    locked[at + 8] |= 1
    locked[6] |= 1
    (folder / "locked.zip").write_bytes(bytes(locked))


def main():
    folder = Path(sys.argv[1])
    for name, make in (("good", good), ("malformed", malformed), ("zips", zips)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        make(folder / name)


main()
