"""The command line: `boxis`, and `python -m boxis_async`.

A module imports only from the layers below its own, for types too:

    entry                                  where the process starts
    main                                   the group of the commands
    init                                   writes a profile, then does what check does
    calls export stats report mirror       one command each
      watch fleet plan check probe serve
      demo completion
    mirror_sync mirror_status              the commands of a mirror
      mirror_verify mirror_care
    export_from_mirror                     an export of what a mirror has
    export_to_file export_to_output        the two ways to write an export of the provider's
    report_source                          where the calls of a report come from
    database                               a mirror in place of the provider
    fleet_client                           the client of a worker
    options export_options                 the options that commands share, and those of an export
    settings                               option, else environment, else profile, else default
    profiles stand_in                      the profile file; the stand-in's account
    errors tables progress                 how a command ends if something is wrong; what it shows
      change_lines change_command
    messages exit_codes                    lines on standard error; how a command ended
    signals logs program dates secret      what needs nothing else of the command line
      call_lines zone_check
      option_groups wording
    output                                 the one way to the screen
"""
