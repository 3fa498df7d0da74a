//! The parameters behind the `?` of a request.

use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use super::problem::Problem;
use crate::event::Event;
use crate::fleet::NodeIndex;
use crate::logs::{LineForm, LogQuery, NodeFilter};

/// Parameters of one request; each is taken out once, and what is left is unknown.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query string.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            let decoded = percent_decode_str(&text).decode_utf8();
            decoded
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| Problem::bad_request(format!("the query {text:?} is not UTF-8")))
        };
        let pairs = query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// Every value of a parameter.
    fn all(&mut self, name: &str) -> Vec<String> {
        self.0
            .extract_if(.., |(key, _)| key == name)
            .map(|(_, value)| value)
            .collect()
    }

    /// The value of a parameter that may stand once.
    fn one(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.all(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(Problem::bad_request(format!(
                "the parameter {name} stands there twice"
            ))),
        }
    }

    /// A switch: absent means `default`, without a value or `true` on, `false` off.
    pub(crate) fn switch(&mut self, name: &str, default: bool) -> Result<bool, Problem> {
        match self.one(name)?.as_deref() {
            None => Ok(default),
            Some("" | "true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(wrong(name, other, "true or false")),
        }
    }

    /// A number of nodes, which must be given.
    pub(crate) fn count(&mut self, name: &str) -> Result<u16, Problem> {
        let allowed = "a number of nodes";
        let text = self.one(name)?;
        let text =
            text.ok_or_else(|| Problem::bad_request(format!("{name}={allowed} is missing")))?;
        text.parse().map_err(|_| wrong(name, &text, allowed))
    }

    /// The nodes that are named by `node`, each by its number or its name.
    pub(crate) fn nodes(&mut self) -> Result<Vec<NodeIndex>, Problem> {
        let node = |text: String| {
            let allowed = "the number of a node or its name, such as 2 or flux-node-2";
            NodeIndex::parse(&text).ok_or_else(|| wrong("node", &text, allowed))
        };
        self.all("node").into_iter().map(node).collect()
    }

    /// Which events are wanted, and whether those that come.
    pub(crate) fn events(&mut self, follow: bool) -> Result<EventQuery, Problem> {
        let until = self.time("until")?;
        if follow && until.is_some() {
            let detail = "what comes is later than now; leave out follow or until";
            return Err(Problem::bad_request(detail));
        }
        Ok(EventQuery {
            nodes: self.nodes()?.into_iter().map(NodeIndex::name).collect(),
            since: self.time("since")?,
            until,
        })
    }

    /// Which lines are wanted, and in which form.
    pub(crate) fn lines(&mut self) -> Result<(LogQuery, LineForm), Problem> {
        let (since, until) = (self.time("since")?, self.time("until")?);
        let last = match self.one("lines")? {
            None => None,
            Some(text) => match text.parse() {
                Ok(lines) => Some(lines),
                Err(_) => return Err(wrong("lines", &text, "a whole number")),
            },
        };
        let form = match self.one("format")?.as_deref() {
            None | Some("text") => LineForm::Text,
            Some("json") => LineForm::Json,
            Some("raw") => LineForm::Raw,
            Some(other) => return Err(wrong("format", other, "text, json or raw")),
        };
        let nodes = NodeFilter::of(self.nodes()?.into_iter().map(NodeIndex::name));
        let wanted = LogQuery {
            nodes,
            since,
            until,
            last,
        };
        Ok((wanted, form))
    }

    /// A moment, with its offset from UTC.
    fn time(&mut self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        let time = text.parse::<Timestamp>();
        time.map(Some)
            .map_err(|_| wrong(name, &text, "a time such as 2026-11-20T12:00:00Z"))
    }

    /// Everything that was meant was taken out.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Problem::bad_request(format!(
                "there is no parameter {name:?} here"
            ))),
        }
    }
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EventQuery {
    /// Of these nodes; none means all, and those of the fleet.
    nodes: Vec<String>,
    /// From then on.
    since: Option<Timestamp>,
    /// Before then.
    until: Option<Timestamp>,
}

impl EventQuery {
    /// Whether this event is.
    pub(crate) fn matches(&self, event: &Event) -> bool {
        let of_these = |node: &String| self.nodes.contains(node);
        let node = self.nodes.is_empty() || event.node.as_ref().is_some_and(of_these);
        let time = self.since.is_none_or(|since| event.time >= since)
            && self.until.is_none_or(|until| event.time < until);
        node && time
    }
}

fn wrong(name: &str, found: &str, allowed: &str) -> Problem {
    Problem::bad_request(format!(
        "the parameter {name} is {found:?}; allowed is {allowed}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Query {
        Query::parse(Some(text)).expect("parses")
    }

    #[test]
    fn switches() {
        let check = |text: &str, expect: Option<bool>| {
            assert_eq!(parse(text).switch("follow", false).ok(), expect, "{text}");
        };
        check("", Some(false));
        check("follow", Some(true));
        check("follow=true", Some(true));
        check("follow=1&x=2", Some(true));
        check("follow=false", Some(false));
        check("follow=no", None);
        check("follow&follow", None);
        assert!(parse("").switch("wait", true).expect("default"));
    }

    #[test]
    fn lines() {
        let check = |text: &str, expect: Result<(LogQuery, LineForm), &str>| {
            let found = parse(text).lines();
            assert_eq!(
                found.map_err(|problem| problem.detail),
                expect.map_err(str::to_owned)
            );
        };
        check("", Ok((LogQuery::default(), LineForm::Text)));
        check(
            "node=1&node=flux-node-2&since=2026-11-20T12:00:00%2B01:00\
             &until=2026-11-20T12:00:00Z&lines=7&format=raw",
            Ok((
                LogQuery {
                    nodes: NodeFilter::of(["flux-node-1".to_owned(), "flux-node-2".to_owned()]),
                    since: Some("2026-11-20T11:00:00Z".parse().expect("time")),
                    until: Some("2026-11-20T12:00:00Z".parse().expect("time")),
                    last: Some(7),
                },
                LineForm::Raw,
            )),
        );
        check(
            "lines=-1",
            Err("the parameter lines is \"-1\"; allowed is a whole number"),
        );
        check(
            "format=xml",
            Err("the parameter format is \"xml\"; allowed is text, json or raw"),
        );
        check(
            "node=first",
            Err(
                "the parameter node is \"first\"; allowed is the number of a node or its name, \
                 such as 2 or flux-node-2",
            ),
        );
        check(
            "since=yesterday",
            Err(
                "the parameter since is \"yesterday\"; allowed is a time such as \
                 2026-11-20T12:00:00Z",
            ),
        );
    }

    #[test]
    fn nodes_and_counts() {
        let check = |text: &str, expect: Option<&[u16]>| {
            let found = parse(text).nodes().ok();
            let expect = expect.map(|nodes| nodes.iter().copied().map(NodeIndex).collect());
            assert_eq!(found, expect, "{text}");
        };
        check("", Some(&[]));
        check("node=1&node=flux-node-3", Some(&[0, 2]));
        check("node=0", None);
        check("node=flux-node-", None);
        check("node=+1", None);
        check("node=70000", None);
        let check = |text: &str, expect: Option<u16>| {
            assert_eq!(parse(text).count("to").ok(), expect, "{text}");
        };
        check("to=3", Some(3));
        check("to=-1", None);
        check("to=", None);
        check("", None);
    }

    #[test]
    fn what_nobody_knows_is_an_error() {
        assert!(parse("").finish().is_ok());
        let problem = parse("folow=1").finish().expect_err("unknown");
        assert_eq!(problem.detail, "there is no parameter \"folow\" here");
        assert!(Query::parse(Some("a=%ff")).is_err());
    }
}
