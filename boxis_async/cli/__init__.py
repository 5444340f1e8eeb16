"""The command line: `boxis`, and `python -m boxis_async`.

A module imports only from the layers below its own, for types too:

    entry                                  where the process starts
    main                                   the group of the commands
    calls export stats plan check          one command each
      probe serve demo completion fleet
    export_to_file export_to_output        the two ways to write an export
    fleet_client                           the client of a worker
    options export_options                 the options that commands share, and those of an export
    settings                               option, else environment, else profile, else default
    profiles stand_in                      the profile file; the stand-in's account
    errors tables progress                 how a command ends if something is wrong; what it shows
    messages exit_codes                    lines on standard error; how a command ended
    signals logs program dates secret      what needs nothing else of the command line
      call_stats call_lines zone_check
      option_groups
    output                                 the one way to the screen
"""
