Members of the Pell Rovers Supporters' Association have elected a chair as their chairman, and are well satisfied with the result.

The previous holder stepped down in June after a dispute about mustard. No one was willing to succeed him. As the meeting broke up, secretary Duncan Poole, 46, wrote in the minutes that the Chair was vacant, and that it was proposed by one member and seconded by another that it should stay that way.

The object in question is of oak with a split seat. It was carried to the head of the table for the July meeting, which finished forty minutes early.

"It doesn't interrupt," said treasurer Moira Flint. "If you say something stupid, it lets you hear it."

Two long quarrels have been settled since it took over. Both sides felt that it had leaned their way. In August it was photographed at a charity lunch beside the bishop, and looked the more relaxed of the two.

A move to have it upholstered was defeated on the grounds that power should not change it.

Its term of office runs for three years. The only challenge so far has come from a stool, which is thought to be too young.

@highlight

Pell Rovers supporters have elected an oak chair as their chairman

@highlight

Meetings are shorter and two long quarrels have since been settled

@highlight

Members refused to upholster it in case power changed it
