The lost property office at Lower Pell station has appealed for the owner of a quantity of confidence that was left on the 17.42 from Pell Magna.

It was handed in on Wednesday by a guard, who found it on a window seat in the second carriage. Clerk Maureen Stott, 52, said she had not known how to label it, and so put it on the shelf between an umbrella and a trombone.

Since then, she reports, the umbrella has opened by itself and the office cat has begun to sit on the counter.

Mrs Stott admitted that she had tried it on, briefly, on Thursday. During that time she asked for a rise, telephoned a man called Roger, and sang in the booking hall. She has now got the rise. She did not wish to comment on Roger.

A young man in a grey suit is said to have been seen walking up and down the platform that night, patting his pockets.

Items not collected within ninety days are sold at auction. Staff have asked to be allowed to bid.

@highlight

Station staff are looking for the owner of some confidence left on a train

@highlight

Clerk Maureen Stott tried it on and was given a pay rise

@highlight

A man in a grey suit was seen searching his pockets on the platform
