//! A claim as it stands in JSON.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::claim::core::{Claim, Stamp, Standing};
use crate::slot::PortRange;

/// A claim as it stands in JSON: by its HTTP port, because outsiders know no slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimFields {
    /// HTTP port of the slot.
    pub port: u16,
    /// Who holds it.
    pub uuid: Uuid,
    /// How firm the claim is.
    pub standing: StandingWord,
    /// [`Stamp::incarnation`].
    pub incarnation: u64,
    /// [`Stamp::sequence`].
    pub sequence: u64,
}

/// The word for a [`Standing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StandingWord {
    /// [`Standing::Settled`].
    Settled,
    /// [`Standing::Tentative`].
    Tentative,
}

impl ClaimFields {
    /// The claim in words of the wire; nothing if the range has no such slot.
    #[must_use]
    pub fn of(claim: &Claim, range: &PortRange) -> Option<Self> {
        Some(Self {
            port: range.slot(claim.slot)?.http,
            uuid: claim.uuid,
            standing: claim.standing.into(),
            incarnation: claim.stamp.incarnation,
            sequence: claim.stamp.sequence,
        })
    }

    /// The claim in words of the core; nothing if its port is not an HTTP port of the range.
    #[must_use]
    pub fn claim(&self, range: &PortRange) -> Option<Claim> {
        Some(Claim {
            uuid: self.uuid,
            slot: range.slot_of_http(self.port)?.index,
            standing: self.standing.into(),
            stamp: Stamp {
                incarnation: self.incarnation,
                sequence: self.sequence,
            },
        })
    }
}

impl StandingWord {
    /// The word as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Tentative => "tentative",
        }
    }

    /// The standing for which `word` stands.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Settled, Self::Tentative]
            .into_iter()
            .find(|standing| standing.as_str() == word)
    }
}

impl From<Standing> for StandingWord {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Settled => Self::Settled,
            Standing::Tentative => Self::Tentative,
        }
    }
}

impl From<StandingWord> for Standing {
    fn from(word: StandingWord) -> Self {
        match word {
            StandingWord::Settled => Self::Settled,
            StandingWord::Tentative => Self::Tentative,
        }
    }
}
