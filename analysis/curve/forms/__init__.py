"""The forms that a curve is fitted with, one file each."""

from analysis.curve.forms.double_power_law import DoublePowerLawForm
from analysis.curve.forms.form import Form
from analysis.curve.forms.local_quadratic import LOCAL_QUADRATIC
from analysis.curve.forms.spline import SPLINE
from analysis.curve.forms.split_quadratic import SplitQuadraticForm

FORMS: dict[str, Form] = {
    form.name: form
    for form in (DoublePowerLawForm(), SplitQuadraticForm(), LOCAL_QUADRATIC, SPLINE)
}
"""Every form by its name, in the order in which they are fitted."""
DEFAULT = DoublePowerLawForm.name
"""The form that is chosen unless another one predicts left-out points clearly better."""
