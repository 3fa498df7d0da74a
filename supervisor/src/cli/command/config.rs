//! `supervisor config`.

use std::net::Ipv4Addr;
use std::time::Duration;

use repram_config::{Environment, Loaded, Role, load};
use repram_discovery::fetch::Fetch;
use repram_discovery::flux::host_address;
use repram_discovery::own_address::{AddressOrigin, OwnAddress};

use super::output::{note, print, print_json};
use crate::cli::execute::CommandError;
use crate::cli::{ConfigOptions, code};

/// How long somebody at a terminal waits for the platform.
const PLATFORM_WAIT: Duration = Duration::from_secs(2);

/// Shows the settings that `supervisor run` would have with the same flags.
pub(crate) fn show(options: &ConfigOptions) -> Result<u8, CommandError> {
    let environment = Environment::of_this_process(Role::Supervisor);
    let mut loaded = load(
        &environment,
        options.run.config.as_deref(),
        &options.run.flags,
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::System)?;
    runtime.block_on(ask_platform(&mut loaded));
    if options.json {
        print_json(&loaded.to_json())?;
    } else {
        for warning in &loaded.warnings {
            note(&warning.to_string());
        }
        print(loaded.render())?;
    }
    Ok(code::OK)
}

/// On Flux the address of a node is asked for by the nodes themselves; here it is shown as
/// they would find it.
async fn ask_platform(loaded: &mut Loaded) {
    let settings = &loaded.settings;
    if settings.flux_app_name.is_none() || settings.node_address.is_some() {
        return;
    }
    let given = settings.flux_node_host_ip.as_deref().and_then(host_address);
    let own = OwnAddress::on_flux(given, Ipv4Addr::LOCALHOST.into());
    match Fetch::new(&settings.flux_hostinfo_url) {
        Ok(hostinfo) => own.ask(&hostinfo, PLATFORM_WAIT).await,
        Err(error) => note(&error.to_string()),
    }
    let how = match own.known().origin {
        AddressOrigin::Hostinfo => format!("hostinfo, {}", settings.flux_hostinfo_url),
        AddressOrigin::FluxNodeHostIp => "FLUX_NODE_HOST_IP".to_owned(),
        AddressOrigin::NodeAddress
        | AddressOrigin::ThisMachine
        | AddressOrigin::BindAddress
        | AddressOrigin::Route
        | AddressOrigin::Peers
        | AddressOrigin::Unknown => return,
    };
    loaded.learn_node_address(own.known().ip, how);
}
