//! The JavaScript that runs beside user code (`js/`), and the main module made for each Worker.

/// Folder of the shim's modules as user code would see it.
pub(super) const FOLDER: &str = "__cairn";
/// Name of the main module: in the root, so that relative imports of user modules stay what they are.
pub(super) const MAIN: &str = "__cairn_main.js";
/// The entrypoint that cairn connects to.
pub(super) const ENTRYPOINT: &str = "__CairnHost";

/// The entrypoint that fires schedules.
pub(super) const SCHEDULED: &str = "__CairnScheduled";

/// Modules of the shim, by file name.
pub(super) const MODULES: [(&str, &str); 13] = [
    ("primordials.js", include_str!("../../js/primordials.js")),
    ("errors.js", include_str!("../../js/errors.js")),
    ("value.js", include_str!("../../js/value.js")),
    ("config.js", include_str!("../../js/config.js")),
    ("scope.js", include_str!("../../js/scope.js")),
    ("log.js", include_str!("../../js/log.js")),
    ("delay.js", include_str!("../../js/delay.js")),
    ("undo.js", include_str!("../../js/undo.js")),
    ("stream.js", include_str!("../../js/stream.js")),
    ("step.js", include_str!("../../js/step.js")),
    ("run.js", include_str!("../../js/run.js")),
    ("host.js", include_str!("../../js/host.js")),
    ("scheduled.js", include_str!("../../js/scheduled.js")),
];

/// The main module: all exports of the user's module, and our entrypoint. The shim comes first, to see the
/// language before user code does.
pub(super) fn main_module(user_module: &str) -> String {
    let user = serde_json::Value::from(format!("./{user_module}"));
    format!(
        "import {{ host }} from \"./{FOLDER}/host.js\";\n\
         import {{ scheduled }} from \"./{FOLDER}/scheduled.js\";\n\
         import * as user from {user};\n\
         export * from {user};\n\
         export default user.default ?? {{}};\n\
         export const {ENTRYPOINT} = host(user);\n\
         export const {SCHEDULED} = scheduled(user);\n"
    )
}

/// The Worker behind workflow bindings: its modules, the main one first.
pub(super) const SYS_MODULES: [(&str, &str); 5] = [
    ("sys.js", include_str!("../../js/sys.js")),
    ("tail.js", include_str!("../../js/tail.js")),
    ("subscription.js", include_str!("../../js/subscription.js")),
    ("value.js", include_str!("../../js/value.js")),
    ("primordials.js", include_str!("../../js/primordials.js")),
];
/// Its compatibility date.
pub(super) const SYS_DATE: &str = "2026-11-01";
