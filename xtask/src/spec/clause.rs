//! Reading the clauses of the specification's pages.

use std::collections::BTreeMap;

use crate::files::File;
use crate::finding::Finding;

/// One numbered obligation.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    /// Such as `REQ-7`.
    pub(super) id: String,
    /// The words, each run of white space as one space: wrapping a line anew changes nothing.
    pub(super) text: String,
    /// The page.
    pub(super) path: String,
    /// The line on which it begins.
    pub(super) line: usize,
}

/// Words that oblige, wherever they stand in capitals.
const OBLIGING: [&str; 4] = ["MUST", "SHALL", "SHOULD", "REQUIRED"];

/// The clauses of all pages, in order, and what is wrong with them by themselves.
pub(super) fn read(pages: &[File]) -> (Vec<Clause>, Vec<Finding>) {
    let mut clauses: Vec<Clause> = Vec::new();
    let mut findings = Vec::new();
    for page in pages {
        for (line, paragraph) in paragraphs(&page.text) {
            let words = without_code(&paragraph);
            match definition(&paragraph) {
                Some((id, text)) => {
                    let obligations =
                        words.split(not_letter).filter(|word| *word == "MUST").count();
                    if obligations != 1 {
                        let what = format!("{id} has {obligations} obligations; a clause has one");
                        findings.push(Finding::new(&page.path, line, what));
                    }
                    clauses.push(Clause { id, text, path: page.path.clone(), line });
                }
                None => {
                    let stray = words.split(not_letter).find(|word| OBLIGING.contains(word));
                    if let Some(word) = stray {
                        let what =
                            format!("{word} outside a clause: number it or say it otherwise");
                        findings.push(Finding::new(&page.path, line, what));
                    }
                }
            }
        }
    }
    findings.extend(doubles(&clauses));
    findings.extend(unknown_mentions(pages, &clauses));
    (clauses, findings)
}

/// Complains about ids that a page mentions in its words and that nobody defines.
pub(super) fn unknown_mentions(pages: &[File], clauses: &[Clause]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in pages {
        for (line, paragraph) in paragraphs(&page.text) {
            for id in ids(&without_code(&paragraph)) {
                let ours = clauses.iter().any(|clause| prefix(&clause.id) == prefix(&id));
                if ours && !clauses.iter().any(|clause| clause.id == id) {
                    let what = format!("{id} is mentioned and not defined");
                    findings.push(Finding::new(&page.path, line, what));
                }
            }
        }
    }
    findings
}

/// The clause ids in a text: capitals, a hyphen, a number.
fn ids(text: &str) -> impl Iterator<Item = String> + '_ {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words.filter(|word| is_id(word)).map(str::to_owned)
}

fn is_id(word: &str) -> bool {
    word.split_once('-').is_some_and(|(letters, number)| {
        (2..=4).contains(&letters.len())
            && letters.bytes().all(|byte| byte.is_ascii_uppercase())
            && !number.is_empty()
            && !number.starts_with('0')
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn prefix(id: &str) -> &str {
    id.split('-').next().unwrap_or(id)
}

fn not_letter(c: char) -> bool {
    !c.is_ascii_alphabetic()
}

fn doubles(clauses: &[Clause]) -> Vec<Finding> {
    let mut first: BTreeMap<&str, &Clause> = BTreeMap::new();
    let mut findings = Vec::new();
    for clause in clauses {
        if let Some(earlier) = first.insert(&clause.id, clause) {
            let what =
                format!("{} is also defined at {}:{}", clause.id, earlier.path, earlier.line);
            findings.push(Finding::new(&clause.path, clause.line, what));
        }
    }
    findings
}

/// The paragraphs outside code fences, each with its first line.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    let mut fenced = false;
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            open = false;
        } else if fenced {
        } else if line.trim().is_empty() {
            open = false;
        } else if let (true, Some((_, paragraph))) = (open, found.last_mut()) {
            paragraph.push('\n');
            paragraph.push_str(line);
        } else {
            found.push((at + 1, line.to_owned()));
            open = true;
        }
    }
    found
}

/// The id and the normalised words of a paragraph that is a clause.
fn definition(paragraph: &str) -> Option<(String, String)> {
    let (id, text) = paragraph.strip_prefix("**[")?.split_once("]**")?;
    let words: Vec<&str> = text.split_whitespace().collect();
    Some((id.to_owned(), words.join(" ")))
}

/// A paragraph with what stands between backticks blanked.
fn without_code(paragraph: &str) -> String {
    let outside = paragraph.split('`').step_by(2);
    outside.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn complaints(text: &str) -> Vec<String> {
        read(&[file("spec/a.md", text)]).1.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_clause_ends_at_the_empty_line_and_wrapping_does_not_matter() {
        let (clauses, findings) =
            read(&[file("a.md", "# T\n\n**[REQ-7]** A receiver MUST\nreject it.\n\nNext.\n")]);
        assert!(findings.is_empty());
        assert_eq!(clauses.len(), 1);
        assert_eq!((clauses[0].id.as_str(), clauses[0].line), ("REQ-7", 3));
        assert_eq!(clauses[0].text, "A receiver MUST reject it.");
    }

    #[test]
    fn an_obligation_outside_a_clause_is_found() {
        assert_eq!(complaints("It MUST hold.\n").len(), 1);
        assert_eq!(complaints("It SHOULD hold.\n").len(), 1);
        assert!(complaints("The word `MUST` and MUSTARD.\n\n```\nMUST\n```\n").is_empty());
    }

    #[test]
    fn a_clause_with_none_or_two_obligations_is_found() {
        assert_eq!(complaints("**[REQ-1]** A receiver may.\n").len(), 1);
        assert_eq!(complaints("**[REQ-1]** A receiver MUST a and MUST b.\n").len(), 1);
    }

    #[test]
    fn a_double_definition_is_found_across_pages() {
        let page = "**[REQ-1]** A receiver MUST.\n";
        let (_, findings) = read(&[file("a.md", page), file("b.md", page)]);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].what.contains("a.md:1"));
    }

    #[test]
    fn a_mention_of_a_clause_that_is_not_there_is_found() {
        assert_eq!(
            complaints("**[REQ-1]** A receiver MUST, as in REQ-2.\n"),
            ["REQ-2 is mentioned and not defined"]
        );
        assert!(complaints("**[REQ-1]** A receiver MUST use RFC-8785.\n").is_empty());
    }
}
