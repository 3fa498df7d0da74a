//! What is wrong with the settings, told to the person who wrote them.

/// One mistake in the settings.
#[derive(Debug)]
pub struct Problem;

impl std::fmt::Display for Problem {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

/// All mistakes in the settings, never none.
#[derive(Debug)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The exit code of a process that cannot start for them (`EX_CONFIG` of
    /// `sysexits.h`).
    pub const EXIT_CODE: u8 = 78;

    /// The mistakes, in a stable order.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl From<Vec<Problem>> for Problems {
    fn from(problems: Vec<Problem>) -> Self {
        Self(problems)
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

impl std::error::Error for Problems {}
