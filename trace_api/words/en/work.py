"""What all working pages share: the frame, signing in, accounts, forms; in English. The keys are those of `zh/work.py`: a test holds them equal."""

from __future__ import annotations

EN: dict[str, str] = {
    "work_areas": "Work",
    "work_area_scan": "Record",
    "work_area_check": "Check",
    "work_area_audit": "Oversight",
    "work_area_accounts": "Accounts",
    "work_sign_out": "Sign out",
    "work_back": "Back",
    "work_to_start": "To your work",
    "work_optional": "(optional)",
    "work_busy": "Sending…",
    "work_save": "Save",
    "work_cancel": "Cancel",
    "work_comma": ", ",
    "work_yes": "Yes",
    "work_no": "No",
    "work_correct_fields": "Fields to correct: {count}. Nothing was saved.",
    "work_correct_fields_next": "Correct what is marked and send it again.",
    "work_required": "This has to be filled in.",
    "work_camera": "Scan",
    "work_camera_title": "Hold the code in the middle of the picture",
    "work_camera_wait": "Opening the camera… a code is read as soon as it is seen.",
    "work_camera_refused": "No live picture can be had here: take a photograph of the code, or type it.",
    "work_camera_photo": "Take a photograph",
    "work_camera_unread": "No code could be read on the photograph: go closer, keep clear of glare and folds, and take another; or type it.",
    "work_camera_away": "The reader could not be fetched: try again when there is a network; until then, type the code.",
    "work_camera_close": "Close the camera",
    "work_role_grower": "Grower",
    "work_role_packer": "Co-operative (packing)",
    "work_role_carrier": "Carrier",
    "work_role_warehouse": "Cold store",
    "work_role_market": "Wholesale market",
    "work_role_stall": "Stall",
    "work_role_retailer": "Shop",
    "work_role_official": "Official",
    "work_role_auditor": "Auditor (read only)",
    "work_role_administrator": "Administrator",
    "work_department_agriculture": "Agriculture",
    "work_department_market_regulation": "Market regulation",
    "work_sign_in_title": "Sign in",
    "work_sign_in_intro": (
        "For co-operatives, carriers, markets, shops and officials. To see where a product comes from nobody has to sign in: "
        "scan the code on its package."
    ),
    "work_login": "Login",
    "work_password": "Password",
    "work_sign_in": "Sign in",
    "work_sign_in_other": "You are signed in as {name}. Signing in to another account ends that.",
    "work_sign_in_go_on": "Go on working",
    "work_wrong_title": "You are not signed in",
    "work_wrong": "The login or the password is not right.",
    "work_wrong_next": (
        "Check capitals and the keyboard's language, and try again; after {failures} wrong ones there is a wait of "
        "{minutes} minutes. Forgotten? An administrator can set a new password."
    ),
    "work_wait_title": "Too many attempts: please wait",
    "work_wait": "There were {failures} wrong passwords for this login within {minutes} minutes; no password is looked at now.",
    "work_wait_next": (
        "Try again after {clock} (in about {left}). If it cannot wait, ask an administrator for a new password: it works at once."
    ),
    "work_crowd_title": "Too many people are signing in",
    "work_crowd": "As many passwords are looked at as can be; yours was not, and the attempt does not count.",
    "work_crowd_next": "Try again in 10 seconds.",
    "work_disabled_title": "This account is disabled",
    "work_disabled": "The password is right, but an administrator has disabled this account.",
    "work_disabled_next": "Ask the administrator of your organisation if you need it back.",
    "work_lost_title": "Your session had ended, and what you typed was not saved",
    "work_lost": (
        "It ended because nothing was done for long, because the account was changed, or because you signed out elsewhere. "
        "What you sent was not recorded, not even in part."
    ),
    "work_lost_next": "After signing in you come back to the page; please fill it in and send it again.",
    "work_kept_title": "Your session had ended; what you typed is still here",
    "work_kept": (
        "It ended because nothing was done for long, because the account was changed, or because you signed out elsewhere. "
        "What you sent is not recorded yet."
    ),
    "work_kept_next": "After signing in you can send it; nothing need be typed again.",
    "work_kept_send_title": "Send what you typed",
    "work_kept_send_notice": "What you typed is still here, and not recorded yet",
    "work_kept_send": "Sent now, it is recorded in the name of {name}.",
    "work_kept_send_now": "Send it now",
    "work_kept_back": "Do not send it, back to the page",
    "work_signed_out_title": "Signed out",
    "work_signed_out": "Your session on this device has ended.",
    "work_sign_in_first_title": "Sign-in needed",
    "work_sign_in_first": "This address is for who is signed in: sign in at /sign-in, or send a token.",
    "work_account_title": "Your account",
    "work_account_name": "Name",
    "work_account_organisation": "Organisation",
    "work_account_roles": "Roles",
    "work_account_department": "Department",
    "work_account_regions": "Regions",
    "work_account_region_whole": "Region code {code} and all below it",
    "work_account_none": "None",
    "work_password_change": "Change the password",
    "work_password_current": "Current password",
    "work_password_new": "New password",
    "work_password_again": "New password again",
    "work_password_hint": "At least {shortest} characters. A few unrelated words are long and easy to keep in mind.",
    "work_password_changed_title": "The password is changed",
    "work_password_changed": "Sessions on all other devices have ended; this one goes on.",
    "work_password_not_current": "The current password is not right.",
    "work_password_not_same": "The two new passwords are not the same.",
    "work_password_short": "Too short: a password has at least 10 characters.",
    "work_password_long": "Too long: a password has at most 200 characters.",
    "work_password_login": "The login may not be a part of the password.",
    "work_password_plain": "Too simple: use at least 4 different characters.",
    "work_accounts_title": "Accounts",
    "work_accounts_intro": (
        "Accounts: {count}, of which disabled: {disabled}. An administrator manages accounts and sees no goods."
    ),
    "work_accounts_add": "Add an account",
    "work_accounts_of_nobody": "of no organisation",
    "work_accounts_seen": "last seen {when}",
    "work_accounts_never_seen": "not signed in now",
    "work_accounts_disabled": "Disabled",
    "work_account_new_title": "Add an account",
    "work_account_new_intro": "One account for each person, so that the record tells who did what.",
    "work_account_login_hint": "Small letters, digits and . _ @ -, 2 to 63 characters; it cannot be changed later.",
    "work_account_login_wrong": (
        "A login has small letters, digits and . _ @ - only, begins with a letter or digit, and has 2 to 63 characters."
    ),
    "work_account_login_taken": "This login is taken; choose another.",
    "work_account_name_hint": "The person's name, or the post's.",
    "work_account_name_wrong": "Give a name of at most 100 characters.",
    "work_account_roles_hint": "Several roles that handle goods may be chosen; official, auditor and administrator stand alone.",
    "work_account_roles_none": "Choose at least one role.",
    "work_account_roles_apart": "Official, auditor and administrator cannot be combined with another role.",
    "work_account_organisation_hint": "Who handles goods belongs to an organisation.",
    "work_account_organisation_needed": "This role belongs to an organisation: choose one.",
    "work_account_organisation_none": "Officials, auditors and administrators belong to no organisation that handles goods: choose none.",
    "work_account_organisation_unknown": "There is no such organisation: choose one of the list.",
    "work_account_department_hint": "For officials only.",
    "work_account_department_needed": "An official has a department: choose one.",
    "work_account_department_none": "Only officials have a department: choose none.",
    "work_account_regions_hint": (
        "For officials and auditors only. Region codes (GB/T 2260) of 2, 4, 6, 9 or 12 digits with spaces between them: "
        "33 Zhejiang, 3301 Hangzhou, 331024 Xianju."
    ),
    "work_account_regions_needed": "Officials and auditors have regions: give their codes.",
    "work_account_regions_none": "Only officials and auditors have regions: leave this empty.",
    "work_account_regions_wrong": "“{code}” is no region code: those have 2, 4, 6, 9 or 12 digits.",
    "work_account_first_password": "First password",
    "work_account_first_password_hint": (
        "Made for you; you may change it. Tell it to the person in a safe way and have them change it after signing in."
    ),
    "work_account_make": "Add this account",
    "work_account_made_title": "The account is added",
    "work_account_password_set_title": "The new password is set",
    "work_account_hand_over": "Tell the person their login and password. The password is shown only here, once.",
    "work_account_password_set": "The old password is void, and sessions on all devices have ended.",
    "work_account_back": "Back to the accounts",
    "work_account_edit_title": "Account {login}",
    "work_account_edit_roles": "Name, roles and scope",
    "work_account_saved_title": "Saved",
    "work_account_saved": "The change holds from the person's next step on.",
    "work_account_new_password": "Set a new password",
    "work_account_new_password_intro": (
        "For a password that was forgotten or has leaked. The old one and the sessions on all devices end at once."
    ),
    "work_account_set_password": "Set this password",
    "work_account_disable_title": "Disable the account",
    "work_account_disable_intro": (
        "Nobody can sign in with it any more, and sessions on all devices end at once; what was recorded stays. "
        "It can be enabled again."
    ),
    "work_account_disable": "Disable this account",
    "work_account_is_disabled_title": "This account is disabled",
    "work_account_enable_title": "Enable the account",
    "work_account_enable_intro": "This account is disabled since {when}. Once enabled, its password works again.",
    "work_account_enable": "Enable this account",
    "work_account_disabled_done_title": "The account is disabled",
    "work_account_disabled_done": "Its sessions on all devices have ended.",
    "work_account_enabled_done_title": "The account is enabled",
    "work_account_enabled_done": "Its password works again.",
    "work_account_yourself": (
        "This is your own account: you can neither disable it nor take the administrator's role from it. "
        "Another administrator can."
    ),
    "work_not_ones_own_title": "You cannot do this to your own account",
    "work_not_ones_own": (
        "An administrator neither disables the own account nor takes the administrator's role from it; nothing was changed."
    ),
    "work_not_ones_own_next": "Ask another administrator to do it.",
    "work_no_account_title": "No such account",
    "work_no_account": "There is no account at this address; look for it in the list of accounts.",
    "work_not_yours_title": "Your account does not open this page",
    "work_not_yours": "This page is for: {roles}. Nothing was changed.",
    "work_not_yours_next": "If your work needs it, ask an administrator for the role; otherwise go back to your work.",
    "work_foreign_origin_title": "This request did not come from a page of this system",
    "work_foreign_origin": "To be safe it was not carried out: another site may have sent it.",
    "work_foreign_origin_next": (
        "Do it again on a page of this system; if the address bar shows another address than usual, type no password there."
    ),
    "work_key_missing_title": "Idempotency-Key missing",
    "work_key_missing": (
        "Send an Idempotency-Key with every request that leaves a record, so that sending it twice does not record it twice. "
        "Nothing was done; reload the page and try again."
    ),
    "work_key_malformed_title": "Idempotency-Key malformed",
    "work_key_malformed": (
        "An Idempotency-Key has {shortest} to {longest} printable characters. Nothing was done; reload the page and try again."
    ),
    "work_key_reused_title": "This form was sent before with other contents",
    "work_key_reused": (
        "The same form (the same Idempotency-Key) was sent with other contents before, and that was done; this time nothing was."
    ),
    "work_key_reused_next": "Go back and look at what was done; then fill in a new form if one is needed.",
    "work_no_page_title": "No such page",
    "work_no_page": "There is nothing at this address, or it is reached by a form only. Check the address, or begin at the start.",
    "work_no_such_title": "Not found",
    "work_no_such": "There is no such thing, or your account does not see it. Check the code, or go back.",
    "work_unreadable_title": "What was sent cannot be read",
    "work_unreadable": "A part of it does not have the right form; nothing was saved. Go back, check it and send it again.",
    "work_conflict_title": "It contradicts the record",
    "work_conflict": "What stands recorded does not fit what was sent; nothing was saved. Go back, reload and try again.",
    "work_too_large_title": "Too much at once",
    "work_too_large": "Nothing was saved. Send it in several parts.",
    "work_too_often_title": "Too often",
    "work_too_often": "Wait a minute and try again.",
    "work_refused_title": "Not done",
    "work_refused": "The request was not carried out and nothing was saved. Go back and try again.",
    "work_away_title": "Not now",
    "work_away": "The record cannot be reached at this moment, and what you sent was not saved. Try again in a minute.",
    "work_too_long_title": "This takes too long",
    "work_too_long": "What was asked takes longer than one question has. Ask for less: one direction, a shorter time, or something nearer.",
    "trace_too_much_title": "Too much hangs together",
    "trace_too_much": "What hangs together with this is more than one answer can be made of.",
    "trace_too_much_next": "Ask for fewer transformations (depth), in one direction only, for the lot instead of one box, or without as_of.",
    "work_fault_title": "A fault of ours",
    "work_fault": "Something of ours failed, and was written down. Try again; if it stays, tell the operator when it happened.",
}
