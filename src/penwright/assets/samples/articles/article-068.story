An attack of hiccups which went round the whole of Upper Pell in a week has ended where it began.

It was first noticed in the butcher, Roland Pike, 49, on a Monday, after a pickled egg. He was cured at noon when a customer dropped a tray. At that moment the customer started.

From her they went to her husband, to his dentist, and to the man in the chair. At no stage, the surgery has confirmed, did two people have them at one time. Dr Nasreen Aziz drew up a chart with arrows. She could see that they were going down the left side of the street and would be coming back along the right.

People behaved well. Those who were next stayed in and did not carry soup. On Thursday they were in the vicar for the length of a funeral, at which the widow laughed for the first time, and he has since been thanked for it.

On Sunday evening they reached the cottage beside the butcher's shop, the home of a retired actress, Miss Lavinia Storr. She let out one that was heard across the green, bowed, and knocked on Mr Pike's wall.

He had laid in a pickled egg. They have not been seen since.

@highlight

A single case of hiccups passed round all of Upper Pell in a week

@highlight

The doctor's chart showed only one person had them at a time

@highlight

They began and ended beside butcher Roland Pike and a pickled egg
