Planning permission has been given for a sandcastle on the central beach, subject to eleven conditions.

The application was made in crayon by Rufus Kettle, aged five. It showed a keep, four towers, a moat and a place for the dog. His mother had explained to him that you could not just build what you liked where you liked, and he had gone home to get his pencils.

Officers said that it was the clearest set of plans they had been sent that year. It was posted on a stick for three weeks, as the law demands. Old Tom Bell objected, on the ground that it would spoil his view of the place where it was to go.

An architect on the committee, Fergus Naylor, asked about drainage. Rufus told him that it would fill up and then fall down. Mr Naylor said he wished that more people would put that in writing.

Building took the whole of Saturday. There was an official opening by bucket. A surveyor, a verger and a man who sells ices were invited to walk round the walls.

The sea came in at twenty past six and found everything to be in order. Permission for another has been granted for each day until September.

@highlight

A sandcastle designed by Rufus Kettle, five, was given planning permission

@highlight

Officers called his crayon drawings the clearest plans of the year

@highlight

It was opened by bucket and taken by the tide on Saturday evening
