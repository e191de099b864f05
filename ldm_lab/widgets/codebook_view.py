"""A picture beside the codebook that it is made of."""

from array import array
from collections.abc import Sequence

import traitlets

from ldm_lab.core.images import to_numpy
from ldm_lab.probes import CodebookSurvey, CodedPicture
from ldm_lab.viz import sprites
from ldm_lab.widgets.browser_view import BrowserView, script, style
from ldm_lab.widgets.pictures import png_of_image


class CodebookView(BrowserView):
    """What is under the pointer in one lights up in the other; the kernel hears of what is chosen alone."""

    _esm = script("pad", "codebook")
    _css = style("pad", "codebook")

    chosen = traitlets.Int(-1, help="The code that a person chose; -1: none.").tag(sync=True)
    place = traitlets.List(help="Row and column of the place that a person chose; empty: none.").tag(sync=True)

    def show_codes(self, survey: CodebookSurvey) -> None:
        """Show the codes of a first stage."""
        count = len(survey.alone)
        sheets = [sprites(images, max_frames=count, lossless=True) for images in (survey.in_context, survey.alone)]
        counts = array("I", survey.usage.counts.tolist()).tobytes()
        self.deliver(
            "codes", [counts, *(sheet.data for sheet in sheets)], columns=sheets[0].columns, side=sheets[0].width
        )

    def show_picture(self, picture: CodedPicture) -> None:
        """Show a picture and the codes that it is made of."""
        rows, columns = picture.codes.shape
        codes = to_numpy(picture.codes).astype("<u4").tobytes()
        self.deliver("picture", [codes, png_of_image(picture.image)], rows=rows, columns=columns)

    def show_neighbours(self, code: int, codes: Sequence[int], distances: Sequence[float]) -> None:
        """Say which codes are most like one."""
        self.deliver("neighbours", code=code, codes=list(codes), distances=list(distances))
