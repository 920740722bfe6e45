"""What of a source's metadata the stored image keeps: who has the copyright, and its colour profile."""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from PIL import Image, ImageColor

from imgrelay_dagster.relay.imaging.color import rgb_profile, transform_from_srgb
from imgrelay_dagster.relay.imaging.formats import exif
from imgrelay_dagster.relay.imaging.formats.exif import Rights
from imgrelay_dagster.relay.imaging.formats.picture import Picture


class Keep(StrEnum):
    """A part of the metadata that may be kept."""

    COPYRIGHT = "copyright"
    ICC = "icc"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept. With a profile, the pixels of the image are not in sRGB but in the colours of the profile."""

    rights: Rights = field(default_factory=Rights)
    profile: bytes = b""

    @classmethod
    def of(cls, picture: Picture, mode: str, keep: Collection[str]) -> "Kept":
        """What is kept of a picture whose image is in this mode of eight bits.

        A picture without a profile in RGB keeps none: its colours are converted to sRGB, as those of CMYK and HDR are.
        """
        rights = exif.rights(picture.exif) if Keep.COPYRIGHT in keep else Rights()
        profile = rgb_profile(picture.colors, mode) if Keep.ICC in keep else None
        return cls(rights, profile or b"")

    def encoder_options(self) -> dict[str, Any]:
        """The options of Pillow's encoders that write it."""
        options = {"exif": self.rights.exif(), "icc_profile": self.profile}
        return {name: value for name, value in options.items() if value}


NOTHING_KEPT = Kept()


def in_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """An image in RGBA and sRGB, converted to a profile that `Kept.of` returned."""
    transform = transform_from_srgb(profile)
    return image if transform is None else transform.apply(image)


def color_in_profile(color: str, profile: bytes) -> str:
    """A CSS colour, converted to the profile."""
    red, green, blue, *alpha = ImageColor.getrgb(color)
    pixel = Image.new("RGBA", (1, 1), (red, green, blue, 255))
    converted = tuple(in_profile(pixel, profile).tobytes()[:3])
    return f"rgba({converted[0]}, {converted[1]}, {converted[2]}, {alpha[0] if alpha else 255})"
