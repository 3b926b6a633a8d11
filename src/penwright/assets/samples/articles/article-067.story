The wishing well in Jubilee Park has started to give people their money back.

Visitors report that a coin dropped in is followed by a pause of about a minute, a gurgle, and the return of the same coin, wet, over the rim. A few have come up with a slip of paper stuck to them. They are typed.

The first was found by window cleaner Mickey Pruitt, 45, who had wished for a sports car. His ten pence came back with the words NOT REALLY, IS IT? He went home and thought it over. The next day he put in the same coin, and asked for his brother to ring him up. It was kept, and the brother rang.

Gardener Sal Whitcombe has looked after the well since 2008. She said there had been a build-up. When it was last emptied they had taken out a bucket of small change and nearly two tons of wishes, most of them for the same six things.

It is now only taking those that it believes it can do properly. A child of seven, who asked for her cat to be happy, got her penny back with a note to say that he already was.

The park will put up a bench for people who need a moment to think.

@highlight

The wishing well in Jubilee Park has begun returning coins

@highlight

Some come back with typed notes about the wish

@highlight

A gardener says the well was overloaded and is now being selective
