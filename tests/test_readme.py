from refresh_readme import README, refreshed


def test_readme_quotes_what_the_code_prints():
    readme = README.read_text(encoding="utf-8")

    assert readme == refreshed(readme)
