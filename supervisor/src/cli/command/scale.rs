//! `supervisor scale`.

use super::change::order;
use crate::cli::ScaleOptions;
use crate::cli::execute::CommandError;

/// Runs another number of nodes.
pub(crate) async fn scale(options: &ScaleOptions) -> Result<u8, CommandError> {
    order(&options.change, &format!("/scale?to={}", options.to)).await
}
