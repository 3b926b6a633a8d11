Lifeguards at Lower Pell baths are trying to find out what became of a wave that went missing on Friday from the new leisure pool.

The machine, which was installed at a cost of forty thousand pounds, makes a wave every nine seconds at the deep end. Number 300 of the afternoon set out as usual, but did not get to the steps.

Duty manager Kirsty Larch said she had watched it go past the slide. There were twelve bathers in the water at the time, who all agreed that it had lifted them up, and that it had not put them down in quite the same place.

The drains have been looked into. So has the changing room, where the floor was found to be wet, though this was not thought significant.

At about half past five that evening a wave of the same height was seen by a shopper going down Station Road towards the sea. It stopped at the crossing and waited until the goose had let it over.

Mrs Larch said that the pool would not press for its return. Each wave is now given a short talk before it leaves on what to expect outside.

@highlight

A wave from the new leisure pool did not reach the steps on Friday

@highlight

Bathers felt it pass, but searches of the drains found nothing

@highlight

A shopper later saw a wave in Station Road, going towards the sea
