//! expunged: an SFTP drop-folder daemon that erases customers.
//!
//! A synchronous core of small types, a thin asynchronous rim, one place where everything is wired, and the disk as the
//! only channel between receiving and processing.
//!
//! ```text
//! 9  main, cli                  words for people, exit codes
//! 8  daemon                     wiring: config → build → recover → ready → drain
//! 7  config                     files → each part's Options, all faults in one run, nothing opened
//! 6  sftp                       async rim: network → staging → inbox
//! 5  pipeline                   async rim: wake → scan → claim → import → archive; fair between tenants; times chunks
//! 4  shutdown                   how the rim ends
//!    ─────────────────────────  nothing below this line waits, or knows the time
//! 3  spool                      folders and durable moves
//! 2  purge  load  scrub         the rule of the product: rows + plan + store → outcomes
//! 1  records  report  store  guide   formats, storage, what senders are told
//! 0  domain  telemetry          words, and how we speak
//! ```
//!
//! `tests/layers.rs` holds the code to this picture. A file passes through it like this: `sftp` writes it in staging and
//! delivers it ([`spool::Upload::close`]); `pipeline` finds it by its scan, claims it, has `records` read it and `purge` match it, then
//! delete in chunks; `report` says what happened and `spool` archives; `scrub` looks for what was left behind.
//!
//! What must hold at every moment, and the tests that hold it:
//!
//! 1. **A name in an inbox is a complete file**:
//!    `a_lost_connection_never_delivers`,
//!    `a_gap_never_delivers_and_its_gap_free_part_stays`,
//!    `two_sessions_at_once_deliver_whole_files_only`,
//!    `a_session_cut_in_the_middle_of_an_upload_delivers_nothing_and_can_be_resumed`.
//! 2. **OK on CLOSE means durable**:
//!    `ok_on_close_means_durable`,
//!    `a_file_that_a_crash_left_in_both_folders_counts_as_delivered`,
//!    `a_delivery_killed_at_any_call_loses_nothing_and_does_nothing_twice`.
//! 3. **Receiving and processing meet only on disk**:
//!    `modules_use_lower_layers_only`,
//!    `a_file_moved_in_by_hand_settles_and_is_purged`.
//! 4. **Events are hints, the scan is the truth**:
//!    `files_that_came_while_the_daemon_was_down_are_purged_at_its_start`,
//!    `looks_at_the_tenant_whose_folder_changed`,
//!    `looks_everywhere_when_events_were_lost`,
//!    `an_inbox_that_was_removed_and_made_again_is_watched_again`,
//!    `where_no_event_comes_the_timer_finds_files`.
//! 5. **A claimed file ends in exactly one of archive and rejected, or waits in held and says why**. Nothing is overwritten:
//!    `an_import_killed_at_any_change_of_a_name_ends_as_if_undisturbed`,
//!    `a_hold_killed_at_any_call_is_held_all_the_same`,
//!    `who_waits_for_a_person_is_told_with_the_commands_to_type`,
//!    `nothing_in_the_archive_is_overwritten`.
//! 6. **A row is purged and reported exactly once**: the deletions of a chunk and the record of them commit in one transaction:
//!    `an_import_killed_at_any_sync_ends_as_if_undisturbed`,
//!    `an_import_killed_at_writes_of_the_store_ends_as_if_undisturbed`,
//!    `killed_at_random_moments_while_files_stream_in_it_does_everything_once`,
//!    `a_chunk_that_fails_half_way_has_not_happened`.
//! 7. **Where the file is archived, its report is there**, the outcomes add up to the rows read, and it is never changed:
//!    `archiving_again_after_a_kill_between_any_two_steps_ends_the_same`,
//!    `an_import_killed_at_any_change_of_a_name_ends_as_if_undisturbed`,
//!    `killed_at_random_moments_while_files_stream_in_it_does_everything_once`,
//!    `a_report_that_was_written_is_never_changed`.
//! 8. **Bad rows are data**; only the medium, the header and broken structure fail a file:
//!    `bad_rows_are_told_by_line_and_the_others_are_purged`,
//!    `bad_objects_are_told_by_line_and_the_others_are_purged`,
//!    `a_file_that_is_no_list_is_rejected_with_what_to_mend`,
//!    `a_medium_that_fails_ends_the_match`.
//! 9. **No tenant can see, name, fill up or delete what is another's**:
//!    `no_tenant_can_see_name_fill_up_or_delete_what_is_anothers`,
//!    `another_tenants_customers_are_not_found_and_stay_whole`,
//!    `one_tenants_files_are_not_anothers_though_the_names_begin_alike`.
//! 10. **No address leaves by a side door**: not in a log, a status, a report, a message, a panic, nor the ledger:
//!     `no_address_leaves_by_a_side_door`,
//!     `refuses_names_that_could_leave_a_folder_or_carry_an_address`,
//!     `a_panic_says_its_literal_and_withholds_what_may_hold_a_value`.
//! 11. **Nothing of a purged person is left in the store's files** once the import's scrub receipt is there:
//!     `nothing_of_a_purged_person_is_left_in_any_file_of_the_store`,
//!     `killed_at_every_durable_call_of_a_scrub_it_ends_with_its_receipt_and_nothing_left`.
//! 12. **Everything has a limit** with its unit, in the config where an operator sets it, else a constant beside the code that keeps it:
//!     `every_limit_is_named_with_its_unit_and_has_bounds_itself`,
//!     `a_row_over_the_limit_is_one_bad_row`,
//!     `a_file_over_the_limit_is_cut_and_one_at_the_limit_is_not`,
//!     `floods_that_nobody_reads_take_bounded_memory_and_end`.

pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod guide;
pub mod load;
pub mod pipeline;
pub mod purge;
pub mod records;
pub mod report;
pub mod scrub;
pub mod sftp;
pub mod shutdown;
pub mod spool;
pub mod store;
pub mod telemetry;
