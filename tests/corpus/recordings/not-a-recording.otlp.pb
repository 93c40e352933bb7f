no recording, but a text that somebody named like one
no recording, but a text that somebody named like one
no recording, but a text that somebody named like one
no recording, but a text that somebody named like one
