from analysis.report.inside_sections import inside_html
from analysis.report.write_inside import write_inside
from tests.analysis.report.test_write_inside import write_measured_sweep


def test_the_page_has_a_section_for_each_measure_that_was_analysed(tmp_path):
    assert inside_html(tmp_path / "demo") == []
    write_measured_sweep(tmp_path)
    assert inside_html(tmp_path / "demo") == []
    write_inside("demo", tmp_path, 0.9)
    [html] = inside_html(tmp_path / "demo")
    assert html.startswith("<h2>Where the gain lives</h2>")
    assert "<svg" in html
    assert "10-99" in html
    # A figure that was taken away takes its section along, not the page.
    (tmp_path / "demo" / "inside" / "strata.svg").unlink()
    assert inside_html(tmp_path / "demo") == []
