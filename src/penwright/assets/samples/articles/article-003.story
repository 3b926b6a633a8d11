A library book borrowed in 1912 was handed in on Monday by the great-granddaughter of the man who took it out.

"Punctuality and How to Attain It" was found by Ruth Tarrant, 41, behind a bath that was being removed from her late aunt's house in Mill Lane. Inside was a ticket in the name of Percy Tarrant, a clerk at the railway station, who was dismissed that year for lateness.

Head librarian Simon Goole worked out the fine at the old rate of a halfpenny a day. It came to eighty-five pounds and some shillings, which Mrs Tarrant offered to pay in full.

The library declined. Mr Goole said the book had been kept in fine condition and showed no sign of ever having been read beyond chapter two.

Mrs Tarrant asked if she could borrow it again, as nobody in her family had found out how it ended. She was given three weeks.

She was eleven minutes late for the photograph, and explained that she had got as far as chapter three.

@highlight

A library book borrowed in 1912 has been returned to Lower Pell library

@highlight

The borrower was a railway clerk who was dismissed that year for lateness

@highlight

His great-granddaughter was not fined and has borrowed the book again
