A ghost that has been seen in the Museum of Rope since 1921 has filled in an application to become a volunteer.

The form was discovered on Friday morning by curator Philippa Dow, 45, on a desk that had been empty when she locked up. It was completed in brown ink. Under "previous experience" the applicant had put "ropewalk, forty years, then here".

He gave his name as Josiah Crouch. Parish records show a man so called who made cable for the navy and who died at his bench.

Ms Dow said that he was plainly the best-qualified person ever to apply. The difficulty was with his references, none of whom could be reached by telephone.

He was interviewed at midnight by Ms Dow and a trustee. They asked him to demonstrate a splice. A length of hemp rose from the case and was joined so neatly that the trustee has been unable to find the place.

Mr Crouch will work on Wednesdays. He has asked for no expenses, only that the label on case six be corrected, since the knot there is upside down and has annoyed him for a hundred years.

@highlight

A ghost has applied to be a volunteer at the Museum of Rope

@highlight

Josiah Crouch made cable for the navy for forty years before he died

@highlight

He proved his skill with a splice during an interview at midnight

@highlight

He asked only for an upside-down knot on display to be corrected
