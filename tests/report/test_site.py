"""The page to look at, as HTML: which rows it has, what they are chosen by, and what they open to."""

import json
import re
from html.parser import HTMLParser

from latent_ot.report.site import FILTERS, MADE, assets, family, site
from latent_ot.results import load


class Page(HTMLParser):
    """The tags of a page with their attributes, in order, and which are open at the end."""

    VOID = ("meta", "link", "input", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag, attribute):
        return [attrs[attribute] for name, attrs in self.tags if name == tag and attribute in attrs]


def made(records, pictures=lambda run: {}):
    return site(records, pictures).decode()


def test_every_method_has_a_row_and_what_it_opens_to(rich_board):
    rich = load(rich_board)
    text = made(rich)
    page = Page(text)
    assert text.encode().startswith(MADE)
    assert page.open == []
    opened = page.all("button", "data-open")
    asked = {(r.dataset, r.method, r.budget) for r in rich if r.method != "data"}
    rows = [attrs for tag, attrs in page.tags if tag == "tr" and "data-dataset" in attrs]
    assert len(rows) == len(opened) == len(asked) + 3  # the data row of each budget, which two share
    assert sorted(opened) == sorted(set(opened)) == sorted(page.all("template", "id"))
    assert {key for row in rows for key in row if key.startswith("data-")} == {f"data-{key}" for key in FILTERS}
    assert {(row["data-dataset"], row["data-budget"]) for row in rows} == {
        ("mnist5k", "ci"), ("mnist5k", "short"), ("grid25", "ci")
    }  # fmt: skip
    assert text.count("gldo-c01") > 1  # a claim is named in every row, so that rows can be sorted
    assert "gldo-table1" in text.partition('id="published"')[2].partition("</section>")[0]


def test_numbers_of_two_protocols_never_share_a_table(record):
    other = {"protocol": {"id": "mnist5k/other/n1000", "evaluator": "other", "checksum": "ab" * 32, "n": 1000}}
    text = made([record("glo"), record("glo", **other)])
    tables = re.findall(r'<table class="runs">.*?</table>', text, re.DOTALL)
    assert [set(re.findall('data-protocol="([^"]*)"', table)) for table in tables] == [
        {"mnist5k/mnist-1a2b3c4d/n1000/rec128x200"}, {"mnist5k/other/n1000"}
    ]  # fmt: skip


def test_a_family_is_read_from_the_stages(record):
    def of(*stages, method="x"):
        every = [{"stage": s, "key": "0" * 16} for s in (*stages, "reconstruct", "evaluate")]
        return family([record(method, stages=every)])

    assert of("wgan_gp") == "end to end"
    assert of("ae", "sdot") == "on ae"
    assert of("ae", "sdot", "ae_ot_gan") == "on ae refined"
    assert of(method="data") == family([]) == "real data"
    assert family([record("x", stages=[], status="declined", reason="points only")]) == "not trained"


def test_what_was_not_measured_is_sorted_last_best_first(record):
    text = made([record("glo", metrics={"fid": 3.0, "is": 7.0}), record("vae", metrics={})])
    orders = re.findall('data-order="([^"]*)"', text)
    assert {"3.0", "7.0", "1e+99", "-1e+99"} <= {*orders}


def test_a_row_opens_to_its_pictures_curves_settings_and_command(record):
    curves = {"fid": [[8, 20.0], [16, 10.0], [32, None]], "loss": {"loss": [[i, float(i % 2)] for i in range(1, 201)]}}
    run = record("gldo", curves=curves, config={"gldo": {"eps": 0.25, "lr": 0.01}}, overrides={"gldo": {"eps": 0.25}})
    page = made([run], lambda run: {"samples": "results/a%20b.png"})
    (opened,) = re.findall("<template.*?</template>", page, re.DOTALL)
    assert 'src="results/a%20b.png"' in opened
    assert run.command in opened
    assert "<dt>gldo.eps (set by hand)</dt><dd>0.25</dd>" in opened
    assert "<dt>gldo.lr</dt><dd>0.01</dd>" in opened
    score, loss = (json.loads(text) for text in Page(opened).all("div", "data-figure"))
    assert (score["data"][0]["x"], score["data"][0]["y"]) == ([8, 16], [20.0, 10.0])
    assert 30 < len(loss["data"][0]["x"]) <= 60
    assert set(loss["data"][0]["y"]) == {0.5}  # of two points each: means, not every so-manieth point


def test_the_machine_of_each_stage_is_shown_where_they_are_several(record):
    stages = [{"stage": name, "key": "0", "machine": {"device": f"that of {name}"}} for name in ("vae", "evaluate")]
    text = made([record("vae", stages=stages)])
    assert "<dt>vae: device</dt><dd>that of vae</dd>" in text
    assert "<dt>evaluate: device</dt><dd>that of evaluate</dd>" in text
    assert "<dt>device</dt><dd>a processor</dd>" not in text
    assert "<dt>device</dt><dd>a processor</dd>" in made([record("vae")])


def test_published_numbers_stand_beside_a_row_that_is_the_papers(record):
    opened = made([record("gldo_p", metrics={"fid": 3.25})]).split("<template")[1]
    line = "<td>gldo-table6 (GLDO)</td><td>MNIST FID ↓</td><td>23.1</td><td>3.250</td>"
    assert line in opened.replace(" ± –", "")
    set_by_hand = record("gldo_p", metrics={"fid": 3.25}, overrides={"gldo": {"latent_dim": 3}})
    assert "Published beside ours</h3>" not in made([set_by_hand]).split("<template")[1]


def test_the_same_records_give_the_same_bytes(record):
    runs = [record("glo"), record("vae", seed=1)]
    assert made(runs) == made(runs)


def test_what_ended_otherwise_says_why_and_nothing_is_taken_for_html(record):
    text = made([record("vae", status="diverged", reason="loss is <b>NaN</b> & more", metrics={})])
    assert "(diverged)" in text
    assert "loss is &lt;b&gt;NaN&lt;/b&gt; &amp; more" in text
    assert "<b>NaN" not in text


def test_an_empty_page_says_what_makes_the_first_run():
    text = made([])
    assert "No run is recorded yet" in text
    assert Page(text).open == []


def test_the_assets_come_with_packages_and_name_no_other_place():
    found = assets()
    assert sorted(found) == ["plotly.js", "tables.css", "tables.js"]
    assert b"DataTables" in found["tables.js"]
    assert b"url(http" not in found["tables.css"].replace(b'"', b"").replace(b"'", b"")
