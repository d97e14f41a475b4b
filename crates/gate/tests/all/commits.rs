//! What messages of commits say, rule by rule of Conventional Commits 1.0.0, and what a release brings with them.

use gate::approval::{Approvals, Rule, When};
use gate::commits::{Brought, Rules, Told, parse};
use gate::{GatePlan, Input};
use serde_json::json;

/// `type(scope)! description | body | Token=value`, or what is wrong.
fn check(message: &str, expected: &str) {
    let said = match parse(message) {
        Ok(it) => {
            let scope = it.scope.map(|scope| format!("({scope})")).unwrap_or_default();
            let footers: Vec<String> = it.footers.iter().map(|(token, value)| format!("{token}={value}")).collect();
            let parts = [it.body, footers.join("; ")].into_iter().filter(|part| !part.is_empty());
            let breaks = if it.breaking { "!" } else { "" };
            [format!("{}{scope}{breaks} {}", it.kind, it.description)].into_iter().chain(parts).collect::<Vec<_>>().join(" | ")
        }
        Err(wrong) => format!("✖ {}", wrong.join(", and ")),
    };
    assert_eq!(said, expected, "{message}");
}

#[test]
fn rule_1_a_type_an_optional_scope_an_optional_mark_a_colon_and_a_space() {
    check("fix: x", "fix x");
    check("fix(cart)!: x", "fix(cart)! x");
    for nothing in ["", "wip", "Fix the cart", "fix the cart: now", ": x", "(cart): x", " fix: x", "42: x", "fix"] {
        check(nothing, "✖ it has no type and colon before it, as `fix: …` has");
    }
    check("fix : x", "✖ a space stands before its colon");
    check("fix:x", "✖ one space is to follow its colon, neither more nor less");
    check("fix(cart) x", "✖ a colon is missing right after its type and scope");
    check("fix!(cart): x", "✖ its `!` stands elsewhere than right before the colon");
    check("fix：x", "✖ it has no type and colon before it, as `fix: …` has");
}

#[test]
fn rules_2_3_and_14_any_type_may_be_used() {
    check("feat: x", "feat x");
    check("docs: x", "docs x");
    check("release-notes: x", "release-notes x");
}

#[test]
fn rule_4_a_scope_is_a_word_in_parentheses() {
    check("fix(the parser/lexer): x", "fix(the parser/lexer) x");
    check("fix(a:b): x", "fix(a:b) x");
    check("fix(): x", "✖ `()` is no scope: that is a word in parentheses");
    check("fix( cart): x", "✖ `( cart)` is no scope: that is a word in parentheses");
    check("fix(cart: x", "✖ the `(` of its scope is never closed");
}

#[test]
fn rule_5_a_description_follows_at_once() {
    check(
        "fix: array parsing issue when multiple spaces were contained in string",
        "fix array parsing issue when multiple spaces were contained in string",
    );
    check("fix:", "✖ it has no description after its colon");
    check("fix:   ", "✖ it has no description after its colon");
    check("fix:  x", "✖ one space is to follow its colon, neither more nor less");
}

#[test]
fn rules_6_and_7_a_body_of_paragraphs_follows_a_blank_line() {
    check("fix: x\n\nOne.\nTwo.\n\nThree.\n", "fix x | One.\nTwo.\n\nThree.");
    check("fix: x\r\n\r\nOne.\r\n", "fix x | One.");
    check("fix: x\nOne.", "✖ a blank line is missing after the first line");
    check("wip\nOne.", "✖ it has no type and colon before it, as `fix: …` has, and a blank line is missing after the first line");
}

#[test]
fn rules_8_9_and_10_footers_are_tokens_with_values() {
    check(
        "fix: x\n\nWhy: see there.\n\nAll of it.\n\nReviewed-by: Z\nRefs: #123",
        "fix x | Why: see there.\n\nAll of it. | Reviewed-by=Z; Refs=#123",
    );
    check("fix: x\n\nCloses #7", "fix x | Closes=#7");
    check("fix: x\n\nReviewed by: Z", "fix x | Reviewed by: Z");
    check("fix: x\n\nNote: one\n  two\nRefs #1", "fix x | Note=one\n  two; Refs=#1");
}

#[test]
fn rules_11_12_and_13_a_breaking_change_is_in_the_prefix_or_a_footer() {
    check("feat!: x", "feat! x");
    check("feat: x\n\nBREAKING CHANGE: y", "feat! x | BREAKING CHANGE=y");
    check("chore!: x\n\nBREAKING CHANGE: y", "chore! x | BREAKING CHANGE=y");
    // Whoever forgot the blank line meant it all the same.
    check("feat: x\n\nBody.\nBREAKING CHANGE: y\nof all", "feat! x | Body.\nBREAKING CHANGE: y\nof all");
    for none in [
        "BREAKING CHANGE:",
        "BREAKING CHANGE:y",
        "BREAKING CHANGE #3",
        "BREAKING CHANGES: y",
        "- BREAKING CHANGE: y",
        "  breaking change: y",
        "BREAKING CHANGE y",
        "**BREAKING CHANGE**: y",
        "BREAKING CHANGE : y",
        "BREAKING_CHANGE: y",
        "Breaking changes: y",
    ] {
        check(&format!("feat: x\n\n{none}"), &format!("✖ `{none}` is no breaking change: that is `BREAKING CHANGE: ` and what breaks"));
    }
    check("feat: x\n\nNo BREAKING CHANGE: none", "feat x | No BREAKING CHANGE: none");
    check("feat: x\n\nBreaking changes are none.", "feat x | Breaking changes are none.");
}

#[test]
fn a_message_that_is_a_book_is_quoted_in_a_line() {
    let long = format!("feat: x\n\n{}", "BREAKING CHANGE:y\n".repeat(1_000));
    let wrong = told(&long).wrong.expect("it is none");
    assert!(wrong.len() < 600 && wrong.ends_with("995 more"), "{wrong}");
    let wrong = told(&format!("feat: x\n\nBREAKING CHANGE:{}", "y".repeat(10_000))).wrong.expect("it is none");
    assert!(wrong.len() < 300, "{wrong}");
}

#[test]
fn rule_15_case_counts_for_a_breaking_change_alone() {
    check("FEAT(Cart): X\n\nreviewed-BY: Z", "feat(Cart) X | reviewed-BY=Z");
    check("feat: x\n\nBreaking Change: y", "✖ `Breaking Change: y` is no breaking change: that is `BREAKING CHANGE: ` and what breaks");
}

#[test]
fn rule_16_a_dash_is_the_same() {
    check("feat: x\n\nBREAKING-CHANGE: y", "feat! x | BREAKING-CHANGE=y");
    check("feat: x\n\nbreaking-change: y", "✖ `breaking-change: y` is no breaking change: that is `BREAKING CHANGE: ` and what breaks");
}

#[test]
fn what_was_to_become_part_of_another_commit_does_not_ship() {
    for word in ["fixup!", "squash!", "amend!"] {
        check(&format!("{word} feat: x"), &format!("✖ `{word}` is to become part of another commit before it ships"));
    }
}

fn told(message: &str) -> Told {
    Told::of("0123456789abcdef", "ana", 1, message)
}

fn brought(messages: &[&str]) -> Brought {
    let commits = messages.iter().map(|message| told(message)).collect();
    Brought { since: Some("89abcdef".to_string()), commits, ..Brought::default() }
}

/// `step` and whether it breaks, where it is known.
fn asks(brought: &Brought, expected: &str) {
    let breaks = brought.breaking().map_or("unknown", |breaks| if breaks { "breaks" } else { "fits" });
    assert_eq!(format!("{:?} {breaks}", brought.step()).to_lowercase(), expected, "{brought:?}");
}

#[test]
fn the_commits_ask_for_a_version() {
    asks(&brought(&[]), "none fits");
    asks(&brought(&["docs: a", "chore: b"]), "none fits");
    asks(&brought(&["docs: a", "fix: b"]), "patch fits");
    asks(&brought(&["feat: a", "fix: b"]), "minor fits");
    asks(&brought(&["fix: a", "docs!: b"]), "major breaks");
    asks(&brought(&["wip", "feat: a"]), "unknown unknown");
    asks(&brought(&["wip", "feat!: a"]), "major breaks");
    asks(&Brought { unread: Some("shallow".to_string()), ..brought(&["fix: a"]) }, "unknown unknown");
    asks(&brought(&["Revert \"feat: a\"\n\nThis reverts commit 1234."]), "patch fits");
    asks(&brought(&["Revert \"feat!: a\"\n\nThis reverts commit 1234."]), "major breaks");
    asks(&brought(&["Revert \"feat: a\"\n\nThis reverts commit 1234.\nBREAKING CHANGE: it was needed"]), "major breaks");
}

#[test]
fn what_git_wrote_is_nobodys_mistake() {
    let merge = Told::of("a", "ana", 2, "Merge branch 'cart'");
    assert_eq!(
        serde_json::to_value(&merge).expect("JSON"),
        json!({"sha": "a", "subject": "Merge branch 'cart'", "author": "ana", "by_git": "merge"})
    );
    assert!(told("Merge branch 'cart'").wrong.is_some(), "with one parent it is what somebody wrote");
    for revert in ["Revert \"wip\"\n\nThis reverts commit 1234.", "Reapply \"wip\"\n\nThis reverts commit 1234."] {
        assert!(told(revert).wrong.is_none());
    }
    assert!(told("Revert \"wip\"").wrong.is_some(), "git says which commit it reverts");
    for merge in ["Merge branch 'cart'\n\nBREAKING CHANGE: no more carts", "feat!: a cart of one's own"] {
        assert!(Told::of("a", "ana", 2, merge).breaking, "{merge}");
    }
    assert!(!Told::of("a", "ana", 2, "feat: a cart").breaking);
    assert!(told("Revert everything").wrong.is_some());
}

/// What a policy is told of a message under rules.
fn wrong(rules: &Rules, message: &str) -> Option<String> {
    let plan = GatePlan { commits: Some(rules.clone()), ..GatePlan::default() };
    let input = Input { brings: Some(brought(&[message])), ..crate::schema::input() };
    input.document(&plan).json()["commits"][0]["wrong"].as_str().map(str::to_string)
}

#[test]
fn a_project_has_rules_of_its_own() {
    let strings = |all: &[&str]| all.iter().map(|it| (*it).to_string()).collect();
    let rules = Rules { types: strings(&["feat", "Fix"]), scopes: strings(&["cart", "api/v1"]), subject_max: Some(20) };
    for good in [
        "feat: x",
        "FIX(Cart): x",
        "fix(cart, api/v1): x",
        "fix(api/v1): x",
        "Revert \"a long line that nobody wrote\"\n\nThis reverts commit 1234.",
    ] {
        assert_eq!(wrong(&Rules { scopes: Vec::new(), ..rules.clone() }, good), None, "{good}");
    }
    assert_eq!(wrong(&rules, "fix(api/v1): x"), None);
    assert_eq!(wrong(&rules, "fix(cart,mail): x").as_deref(), Some("`mail` is none of the scopes cart, api/v1"));
    assert_eq!(
        wrong(&rules, "docs(mail): a line of some length").as_deref(),
        Some(
            "`docs` is none of the types feat, Fix, and `mail` is none of the scopes cart, api/v1, and its first line is longer than 20 characters"
        )
    );
    assert_eq!(wrong(&Rules::default(), "docs(mail): a line of some length"), None);
    assert!(wrong(&Rules::default(), "wip").is_some());
    let long = format!("fix: {}", "x".repeat(300));
    assert_eq!(
        wrong(&Rules { subject_max: Some(200), ..Rules::default() }, &long).as_deref(),
        Some("its first line is longer than 200 characters")
    );
}

#[test]
fn who_is_asked_of_a_breaking_change_is_asked_when_nobody_knows_too() {
    let rule = |name: &str, when| Rule { name: name.to_string(), people: [name.to_string()].into(), count: 1, when };
    let approvals = Approvals { rules: vec![rule("lead", None), rule("product", Some(When::Breaking))], ..Approvals::default() };
    let asked = |brought: &Brought| -> Vec<String> { approvals.of(brought).rules.into_iter().map(|rule| rule.name).collect() };
    assert_eq!(asked(&brought(&["fix: a"])), ["lead"]);
    assert_eq!(asked(&brought(&["fix!: a"])), ["lead", "product"]);
    assert_eq!(asked(&brought(&["wip"])), ["lead", "product"]);
}
